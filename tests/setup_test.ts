import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { parseSources } from "../lib/setup/apt_sources.ts";
import { checkAdapter, checkDeno, checkFfmpeg, checkNetwork } from "../lib/setup/checks.ts";
import { explain } from "../lib/setup/compile.ts";
import { linesFor } from "../lib/setup/fix.ts";
import { install } from "../lib/setup/install.ts";
import { MALLOC_SETTINGS, PERMISSION_FLAGS, V8_FLAGS } from "../lib/setup/permissions.ts";

Deno.test("parseSources() reads one-line sources, with and without options", () => {
  const text = `# deb http://off.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # the release
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://other.example/x stable main
`;
  assertEquals(parseSources(text, false), [
    { uri: "http://mirror.example/debian", suites: ["bookworm"], components: ["main", "contrib"] },
    {
      uri: "https://other.example/x",
      suites: ["stable"],
      components: ["main"],
      signedBy: "/usr/share/keyrings/k.gpg",
    },
  ]);
});

Deno.test("parseSources() reads stanzas, leaves out disabled and source-only ones and written-out keys", () => {
  const text = `Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://two.example/a
 http://two.example/b
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
`;
  assertEquals(parseSources(text, true), [
    {
      uri: "http://mirror.example/debian",
      suites: ["bookworm", "bookworm-updates"],
      components: ["main"],
      signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
    },
    { uri: "http://two.example/a", suites: ["sid"], components: ["main"] },
    { uri: "http://two.example/b", suites: ["sid"], components: ["main"] },
  ]);
});

Deno.test("checkDeno() accepts this Deno and names the one to get where it is older", () => {
  assert(checkDeno().found);
  assert(checkDeno("3.0.0").found);
  for (const old of ["2.8.9", "1.46.3"]) {
    const { found, advice } = checkDeno(old);
    assertEquals(found, false, old);
    assertStringIncludes(advice ?? "", "deno@2.9");
  }
});

Deno.test("checkFfmpeg(), checkNetwork() and checkAdapter() find what the tests need", async () => {
  for (const finding of await Promise.all([checkFfmpeg(), checkNetwork(), checkAdapter()])) {
    assert(finding.found, `${finding.name}: ${finding.says}; ${finding.advice}`);
  }
});

Deno.test("checkAdapter() tells software through OpenGL from Vulkan's, and what to install", async () => {
  const own = await checkAdapter();
  assertEquals(own.advice, undefined, own.says);
  if (!own.says.startsWith("llvmpipe")) return assertEquals(await checkAdapter([]), own);
  const folder = await Deno.makeTempDir();
  try {
    for (const folders of [[], [`${folder}/none`], [folder]]) {
      const { found, says, advice = "" } = await checkAdapter(folders);
      assert(found && says.endsWith("(software, through OpenGL)"), says);
      assertStringIncludes(advice, "mesa-vulkan-drivers");
    }
    await Deno.writeTextFile(`${folder}/lvp_icd.x86_64.json`, "{}");
    assertEquals(await checkAdapter([`${folder}/none`, folder]), own);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("linesFor() gives the lines to run by hand", () => {
  const [update, install] = linesFor(["ffmpeg", "vulkan"]);
  assertEquals(update, "sudo apt-get update");
  assertStringIncludes(install ?? "", " ffmpeg mesa-vulkan-drivers");
});

Deno.test("the launcher has the permissions and settings of the task, and no others", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const own = [...MALLOC_SETTINGS.split(" "), V8_FLAGS, ...PERMISSION_FLAGS];
  const words: string[] = tasks.walkcut.replace(/\$\(.*?\)/, "").split(" ");
  const others = ["deno", "run", "-q", "main.ts"];
  assertEquals(
    words.filter((word) => !others.includes(word) && !word.startsWith("--allow-run=")).sort(),
    own.sort(),
  );
});

Deno.test("install() puts a launcher into a folder that works from any other", async () => {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-install it's " });
  try {
    const path = await install(`${folder}/bin`);
    const { code, stdout, stderr } = await new Deno.Command(path, {
      args: ["missing file.mp4"],
      cwd: folder,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assertEquals([code, decoder.decode(stdout)], [2, ""]);
    assertEquals(decoder.decode(stderr), "walkcut: No such file: missing file.mp4\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deno install --global, as install.ts has it, gives a program that works from any folder", async () => {
  const root = fileURLToPath(new URL("../", import.meta.url));
  const { imports } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const map = JSON.parse(await Deno.readTextFile(`${root}lib/setup/import_map.json`)).imports;
  for (const [name, target] of Object.entries<string>(imports)) {
    if (!target.startsWith("jsr:")) assertEquals(map[name], target);
  }
  for (const name of ["assert", "cli"]) {
    const { exports } = JSON.parse(await Deno.readTextFile(`${root}lib/std/${name}/deno.json`));
    const all: Record<string, string> = typeof exports === "string" ? { ".": exports } : exports;
    for (const [path, file] of Object.entries(all)) {
      assertEquals(map[`@std/${name}${path.slice(1)}`], `../std/${name}${file.slice(1)}`);
    }
  }
  const text = await Deno.readTextFile(`${root}lib/setup/install.ts`);
  const line = /deno (install --global[^`]*?main\.ts)/.exec(text)![1]!.replace(/\\\n \*/, "").split(/\s+/);
  const folder = await Deno.makeTempDir({ prefix: "walkcut-install-" });
  try {
    const env = { DENO_INSTALL_ROOT: folder, NO_COLOR: "1" };
    const installed = await new Deno.Command(Deno.execPath(), { args: line, cwd: root, env }).output();
    assert(installed.success, new TextDecoder().decode(installed.stderr));
    await Deno.mkdir(`${folder}/empty`);
    await Deno.writeFile(`${folder}/empty/raw`, new Uint8Array(32 * 24 * 3).map((_, i) => i));
    const { code, stderr } = await new Deno.Command("walkcut", {
      args: [
        ...["raw", "--input-format", "rgb24", "--size", "32x24", "--device", "cpu", "--grid", "32", "-q"],
        ...["-o", "out%d.png"],
      ],
      cwd: `${folder}/empty`,
      env: { PATH: `${folder}/bin:${Deno.env.get("PATH")}` },
    }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    assertEquals([...Deno.readDirSync(`${folder}/empty`)].map(({ name }) => name).sort(), [
      "out1.png",
      "raw",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("explain() tells a blocked download from another failure", () => {
  assertStringIncludes(
    explain("Download https://x/denort.zip\nerror: client error (Connect)"),
    "deno task install",
  );
  assertEquals(
    explain("error: Module not found"),
    "The standalone program was not built: error: Module not found",
  );
});
