import { assert, assertEquals, assertMatch } from "@std/assert";
import { folder, frameCount } from "./cli_folder.ts";
import { names } from "./io_media.ts";
import { byTwo, commandOf, quoted, resident, walkcut } from "./program.ts";

const decoder = new TextDecoder();
const PROGRAM = commandOf([]).map(quoted).join(" ");

/** Starts a run on an endless input and waits until it has done some frames. */
async function startEndless(path: string): Promise<{ child: Deno.ChildProcess; stderr: Promise<string> }> {
  const feed =
    `ffmpeg -v quiet -re -f lavfi -i testsrc2=size=64x48:rate=30 -f yuv4mpegpipe -pix_fmt yuv420p - | \
    exec ${PROGRAM} - --null-model -o out.mp4 --progress json`;
  const child = new Deno.Command("bash", {
    // The pid of the last of a pipe is that of the program itself: lastpipe runs it in the shell's place.
    args: ["-c", `shopt -s lastpipe; ${feed}`],
    cwd: path,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let text = "";
  const begun = Promise.withResolvers<void>();
  const stderr = (async () => {
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += part;
      if ((text.match(/"frame"/g) ?? []).length >= 3) begun.resolve();
    }
    begun.resolve();
    return text;
  })();
  await begun.promise;
  return { child, stderr };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`walkcut closes its output whole at the first ${signal} and ends with 130`, async () => {
    await using dir = await folder();
    const { child, stderr } = await startEndless(dir.path);
    child.kill(signal);
    const { code } = await child.status;
    assertEquals(code, 130, await stderr);
    const line = (await stderr).trim().split("\n").at(-1) ?? "";
    assertMatch(line, /^walkcut: interrupted: \d+ frames, .*wrote out\.mp4$/);
    assertEquals(await names(dir.path), ["clip.mp4", "out.mp4"]);
    assertEquals(await frameCount(`${dir.path}/out.mp4`), Number(/(\d+) frames/.exec(line)?.[1]));
  });
}

Deno.test("walkcut stops at once at the second SIGINT", async () => {
  await using dir = await folder();
  const { child, stderr } = await startEndless(dir.path);
  child.kill("SIGINT");
  child.kill("SIGINT");
  const { code } = await child.status;
  assertEquals(code, 130, await stderr);
});

Deno.test("walkcut demo renders, segments and scores a scene, and says where the overlay is", async () => {
  await using dir = await folder();
  const { code, stderr } = await walkcut(dir.path, [
    "demo",
    "--seconds",
    "1",
    "--device",
    "cpu",
    "--grid",
    "32",
  ]);
  assertEquals(code, 0, stderr);
  const miou = Number(/mIoU ([\d.]+)/.exec(stderr)?.[1]);
  assert(miou > 0.5 && miou <= 1, stderr);
  assertMatch(stderr, /the overlay is out\/scene\.overlay\.mp4\n$/);
  assertEquals(await frameCount(`${dir.path}/out/scene.overlay.mp4`), 30);
});

Deno.test("walkcut --stall-timeout names the stage that stands still and keeps what was done", async () => {
  await using dir = await folder();
  const raw = "--null-model --input-format gray8 --size 16x16 --stall-timeout 1";
  const cases = [
    // Two frames, then nothing for longer than the program waits.
    [
      `(head -c 512 /dev/zero; sleep 4) | ${PROGRAM} - ${raw} -o out.mp4`,
      /^walkcut: No frame has moved for 1 s: the input; /,
    ],
    // A reader that takes nothing: the pipe fills.
    [
      `head -c 2000000 /dev/zero | ${PROGRAM} - ${raw} -o - --output-format rgb24 | sleep 4`,
      /: the output stdout; /,
    ],
  ] as const;
  await byTwo(cases, async ([script, line]) => {
    const { code, stderr } = await new Deno.Command("bash", {
      args: ["-c", `${script}\nexit \${PIPESTATUS[1]}`],
      cwd: dir.path,
      stdout: "null",
    }).output();
    assertMatch(decoder.decode(stderr), line);
    assertMatch(decoder.decode(stderr), /^[^\n]+\n$/);
    assertEquals(code, 1);
  });
  assertEquals(await frameCount(`${dir.path}/out.partial.mp4`), 2);
});

Deno.test({
  name: "walkcut keeps its memory while frames go by",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const [width, height, frames] = [160, 90, 10_000];
    const raw = [
      "--input-format",
      "rgb24",
      "--size",
      `${width}x${height}`,
      "-o",
      "-",
      "--output-format",
      "rgb24",
    ];
    const [path, ...args] = commandOf(["-", "--null-model", "-q", ...raw]);
    const child = new Deno.Command(path!, {
      args,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of child.stdout) bytes += chunk.length;
    })();
    const writer = child.stdin.getWriter();
    const frame = new Uint8Array(width * height * 3);
    // Garbage comes and goes: what counts is the most in a while.
    let [early, late] = [0, 0];
    for (let i = 1; i <= frames; i++) {
      await writer.write(frame.fill(i & 255));
      // The pipes hold a few frames: what was written before is through.
      if (i % 250 !== 0) continue;
      const now = await resident(child.pid);
      if (i > 0.1 * frames && i <= 0.3 * frames) early = Math.max(early, now);
      if (i > 0.8 * frames) late = Math.max(late, now);
    }
    await writer.close();
    await reading;
    assertEquals([(await child.status).code, bytes], [0, frames * frame.length]);
    // What is kept of each frame shows: 7,000 frames are 300 MB.
    assert(late < 1.15 * early, `${early} KiB in an early fifth of the frames, ${late} KiB in the last`);
  },
});
