import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** The TypeScript examples of a document, in order. */
async function examples(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  // In a docblock every line begins with an asterisk.
  return [...text.matchAll(/^( \* |)```ts\n([\s\S]*?)^\1```/gm)].map(([, , body]) =>
    body!.replace(/^ \* ?/gm, "")
  );
}

/** Runs an example in a folder of its own, with its relative imports led to the project. */
async function runExample(code: string, base: URL): Promise<{ success: boolean; output: string }> {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/example.ts`;
    const led = code.replace(
      /from "(\.[^"]*)"/g,
      (_, path) => `from ${JSON.stringify(new URL(path, base).href)}`,
    );
    await Deno.writeTextFile(file, led);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--check",
        "--no-prompt",
        "--allow-read",
        `--allow-write=${dir}`,
        "--allow-env",
        "--allow-sys",
        "--config",
        new URL("deno.json", ROOT).pathname,
        file,
      ],
      cwd: dir,
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = new TextDecoder();
    return { success, output: text.decode(stdout) + text.decode(stderr) };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

for (const path of ["README.md", "lib/mod.ts", "lib/segmenter.ts", "lib/sink/mod.ts", "lib/source/mod.ts"]) {
  Deno.test(`the examples of ${path} run`, async () => {
    const blocks = await examples(path);
    assertEquals(blocks.length > 0, true, `${path} has no example`);
    for (const block of blocks) {
      const { success, output } = await runExample(block, new URL(path, ROOT));
      assertEquals(success, true, output);
    }
  });
}
