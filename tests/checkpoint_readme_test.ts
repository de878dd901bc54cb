import { assert, assertEquals } from "@std/assert";
import { main } from "../main.ts";
import { fixture } from "./checkpoint_make.ts";

Deno.test({
  name: "the worked example of models/README.md runs",
  ignore: fixture === undefined,
  fn: async () => {
    const page = await Deno.readTextFile(new URL("../models/README.md", import.meta.url));
    const block = /## Worked example.*?```sh\n(.*?)```/s.exec(page)![1]!;
    const commands = block.trim().split("\n").map((line) =>
      line.replace("$CHECKPOINT", fixture!).replace("$REFERENCE", `${fixture}/reference.safetensors`).split(
        " ",
      )
    );
    assertEquals(
      commands.map(([program, command]) => [program, command]),
      Array(3).fill(["walkcut", "models"]),
    );
    const models = await Deno.makeTempDir();
    const before = Deno.env.get("WALKCUT_MODELS");
    Deno.env.set("WALKCUT_MODELS", models);
    const lines: string[] = [];
    const log = console.log;
    console.log = (line: string) => lines.push(line);
    try {
      for (const [, ...args] of commands) assertEquals(await main(args), 0, args.join(" "));
    } finally {
      console.log = log;
      if (before === undefined) Deno.env.delete("WALKCUT_MODELS");
      else Deno.env.set("WALKCUT_MODELS", before);
      await Deno.remove(models, { recursive: true });
    }
    assertEquals(lines[0], "embedded");
    assert(lines[1]!.startsWith("example  Stable Diffusion, 2.4 M weights, fp32"), lines[1]);
    assertEquals(JSON.parse(lines.at(-1)!).passed, true);
  },
});
