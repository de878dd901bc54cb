import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertFails, folder } from "./cli_folder.ts";
import { ffmpeg } from "./io_media.ts";
import { byTwo, ROOT, walkcut } from "./program.ts";

const decoder = new TextDecoder();

Deno.test("walkcut answers wrong usage and unreadable input with one line and code 2", async () => {
  await using dir = await folder();
  const { path } = dir;
  await Deno.writeTextFile(`${path}/text.mp4`, "This is no video.\n".repeat(50));
  await ffmpeg("-f", "lavfi", "-i", "sine=duration=1", `${path}/sound.mp4`);
  await Deno.writeTextFile(`${path}/there.mp4`, "precious");
  const cases: [string[], RegExp][] = [
    [["missing.mp4"], /missing\.mp4/],
    [["text.mp4"], /text\.mp4/],
    [["sound.mp4"], /no video/],
    [["clip.mp4", "-o", "nowhere/out.mp4"], /folder does not exist: nowhere/],
    [["clip.mp4", "-o", "there.mp4"], /exists: there\.mp4; .*-y/],
    [["clip.mp4", "-o", "clip.mp4", "-y"], /same file/],
    [["clip.mp4", "--opactiy", "1"], /--opactiy; did you mean --opacity\?/],
    [["clip.mp4", "--grid", "33"], /--grid: 33/],
    [["clip.mp4", "--threshold", "9"], /--threshold: 9/],
    [["clip.mp4", "-o", "-"], /--output-format/],
    [["clip.mp4", "--show", "cutout", "--segment", "1", "-o", "o.mp4"], /alpha: o\.mp4/],
    [["clip.mp4", "--model", "no-such-model"], /no-such-model/],
  ];
  await byTwo(cases, ([args, line]) => assertFails(path, args, { code: 2, line }));
  assertEquals(await Deno.readTextFile(`${path}/there.mp4`), "precious");
});

Deno.test("walkcut ends with 4 where there is no ffmpeg, with 3 where there is no adapter", async () => {
  await using dir = await folder();
  await assertFails(
    dir.path,
    ["clip.mp4"],
    { code: 4, line: /ffmpeg was not found.*apt-get install ffmpeg/ },
    {
      PATH: "",
      FFMPEG_BIN: "",
    },
  );
  await assertFails(dir.path, ["clip.mp4", "--device", "webgpu"], { code: 3, line: /--device cpu/ }, {
    VK_DRIVER_FILES: "/nonexistent.json",
    VK_ICD_FILENAMES: "/nonexistent.json",
    LIBGL_ALWAYS_SOFTWARE: "1",
    __EGL_VENDOR_LIBRARY_FILENAMES: "/nonexistent.json",
  });
});

Deno.test("walkcut --debug shows the stack below the line", async () => {
  await using dir = await folder();
  const { stderr } = await walkcut(dir.path, ["missing.mp4", "--debug"]);
  assertMatch(stderr, /^walkcut: .*missing\.mp4/);
  assertStringIncludes(stderr, "\n    at ");
});

Deno.test("walkcut --help and --version go to stdout with code 0", async () => {
  for (
    const [args, text] of [[["--help"], "walkcut [segment] INPUT"], [["--version"], "walkcut 0."]] as const
  ) {
    const { code, stdout, stderr } = await walkcut(ROOT, args);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(decoder.decode(stdout), text);
  }
});

Deno.test("walkcut completions bash completes commands, options and values", async () => {
  const { code, stdout } = await walkcut(ROOT, ["completions", "bash"]);
  assertEquals(code, 0);
  const complete = async (...words: string[]) => {
    const script = `${decoder.decode(stdout)}
compopt() { :; }
COMP_WORDS=(walkcut ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}
_walkcut; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const result = await new Deno.Command("bash", { args: ["-c", script], cwd: `${ROOT}lib/std` }).output();
    assertEquals(decoder.decode(result.stderr), "");
    return decoder.decode(result.stdout).trim().split("\n");
  };
  assert((await complete("doc")).includes("doctor"));
  assertEquals(await complete("x.mp4", "--show", "ov"), ["overlay"]);
  assertEquals(await complete("x.mp4", "--opac"), ["--opacity"]);
  assertEquals(await complete("completions", "z"), ["zsh"]);
});
