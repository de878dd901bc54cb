import { assert, assertEquals, assertMatch } from "@std/assert";
import { ffmpeg, inFolder, names, packetTimes, processesWith } from "./io_media.ts";
import {
  byTwo,
  changedProgram,
  children,
  commandOf,
  quoted,
  resident,
  start,
  told,
  underWay,
  walkcut,
} from "./program.ts";

const clips = new Map<number, Uint8Array<ArrayBuffer>>();

/** A clip with sound whose frames take a while, even without network and cut. */
async function clip(path: string, seconds = 20): Promise<void> {
  const before = clips.get(seconds);
  if (before) return await Deno.writeFile(path, before);
  await ffmpeg(
    ...["-f", "lavfi", "-i", `testsrc2=size=320x180:rate=25:duration=${seconds}`],
    ...["-f", "lavfi", "-i", `sine=duration=${seconds}`, "-c:v", "libx264", "-preset", "ultrafast"],
    ...["-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", path],
  );
  clips.set(seconds, await Deno.readFile(path));
}

/** Checks that stderr is one line about the fault, that nothing but `left` lies there and no child runs. */
async function assertEnded(folder: string, stderr: string, line: RegExp, left: string[]): Promise<void> {
  assertMatch(told(stderr), /^walkcut: [^\n]+\n$/, stderr);
  assertMatch(stderr, line);
  const lying = (await names(folder)).filter((name) => !name.endsWith(".resume"));
  assertEquals(lying, left);
  assertEquals(await processesWith(folder), [], "children are left");
}

for (const role of ["decoder", "encoder"] as const) {
  for (const kind of role === "decoder" ? ["mp4"] : ["mp4", "mov", "mkv", "webm"]) {
    Deno.test(`a killed ${role} of ${kind} is named, ends with 4 and leaves what was done playable`, () =>
      inFolder(async (folder) => {
        await clip(`${folder}/clip.mp4`);
        const speed = kind === "webm" ? ["--preset", "realtime", "--no-audio"] : ["--preset", "ultrafast"];
        const args = [`${folder}/clip.mp4`, "--null-model", "-o", `${folder}/out.${kind}`, ...speed];
        const { child, stderr } = await underWay(folder, args, 120);
        for (const pid of await children(folder, role)) Deno.kill(pid, "SIGKILL");
        const { code } = await child.status;
        assertEquals(code, 4, await stderr);
        const line = new RegExp(
          `ffmpeg \\(${role}\\): killed by SIGKILL.*(lie|lies) in .*out\\.partial\\.${kind}`,
        );
        await assertEnded(folder, await stderr, line, ["clip.mp4", `out.partial.${kind}`]);
        // A second of a container's cluster or fragment may be lost with its writer, and the encoder's queue.
        const kept = (await packetTimes(`${folder}/out.partial.${kind}`)).length;
        assert(kept >= (role === "decoder" ? 120 : 1), `${kept} frames`);
        if (role === "decoder") {
          const resumed = await walkcut(folder, [...args, "--resume", "-q"]);
          assertEquals([resumed.code, resumed.stderr], [0, ""]);
          assertEquals((await packetTimes(`${folder}/out.${kind}`)).length, 500);
          assertEquals(await names(folder), ["clip.mp4", `out.${kind}`]);
        }
      }));
  }
}

Deno.test("a full disk is named by every kind of output, with what was done", () =>
  inFolder(async (folder) => {
    await clip(`${folder}/clip.mp4`, 8);
    // Without the signal, a write beyond the limit fails as one on a full disk does.
    const before = "trap '' XFSZ; ulimit -f 64;";
    const cases: [output: string[], code: number, line: RegExp][] = [
      [["-o", "out.mp4"], 4, /Cannot write out\.mp4: ffmpeg \(encoder\): .*(File too large|No space)/],
      [["-o", "out.mkv"], 4, /Cannot write out\.mkv: ffmpeg \(encoder\): .*(File too large|No space)/],
      [["-o", "a%03d.png", "--labels", "l.npy"], 1, /Cannot write l\.npy: .*(File too large|No space)/],
      [["-o", "b%03d.png", "--rle", "r.jsonl"], 1, /Cannot write r\.jsonl: .*(File too large|No space)/],
    ];
    await byTwo(cases, async ([output, code, line]) => {
      const args = ["clip.mp4", "--null-model", "-y", ...output, "--frames", "150", "--crf", "0"];
      const outcome = await walkcut(folder, args, { before });
      assertEquals(outcome.code, code, outcome.stderr);
      assertMatch(outcome.stderr, /^walkcut: [^\n]+\n$/);
      assertMatch(outcome.stderr, line);
      const partial = / lies? in ([\w.]+)/.exec(outcome.stderr)?.[1];
      if (partial?.startsWith("out.")) {
        assert((await packetTimes(`${folder}/${partial}`)).length > 0, partial);
      }
    });
    assertEquals(await processesWith(folder), []);
    assert(!(await names(folder)).some((name) => /^(out|l|r)\.(mp4|mkv|npy|jsonl)$/.test(name)));
  }));

Deno.test("an output folder that is removed is named, and ends the run", () =>
  inFolder(async (folder) => {
    const cases = [
      ["out.mp4", 4, /o\/out\.partial\.mp4.*No such file or directory/],
      ["%04d.png", 1, /Cannot write .*o\/\d+\.png: No such file or directory/],
      ["out.mkv", 1, /Cannot rename .*out\.partial\.mkv: No such file or directory/],
    ] as const;
    await byTwo(cases, async ([output, code, line]) => {
      const own = `${folder}/${output.slice(-3)}`;
      await Deno.mkdir(`${own}/o`, { recursive: true });
      await clip(`${own}/clip.mp4`);
      const args = [`${own}/clip.mp4`, "--null-model", "-o", `${own}/o/${output}`, "--preset", "ultrafast"];
      const { child, stderr } = await underWay(own, args, 20);
      // At once: a folder that is emptied file by file may get another picture meanwhile.
      await Deno.rename(`${own}/o`, `${own}/gone`);
      await Deno.remove(`${own}/gone`, { recursive: true });
      assertEquals((await child.status).code, code, await stderr);
      await assertEnded(own, await stderr, line, ["clip.mp4"]);
    });
  }));

Deno.test("an input that is cut off mid-file or still grows ends with its whole frames", () =>
  inFolder(async (folder) => {
    await clip(`${folder}/clip.mp4`, 4);
    await ffmpeg("-i", `${folder}/clip.mp4`, "-c", "copy", `${folder}/whole.mkv`);
    await ffmpeg("-i", `${folder}/clip.mp4`, "-c", "copy", "-movflags", "+faststart", `${folder}/fast.mp4`);
    for (const name of ["whole.mkv", "fast.mp4"]) {
      const bytes = await Deno.readFile(`${folder}/${name}`);
      await Deno.writeFile(`${folder}/cut-${name}`, bytes.slice(0, Math.floor(bytes.length * 0.6)));
      const args = [`${folder}/cut-${name}`, "--null-model", "-o", `${folder}/out.mkv`, "-q", "-y"];
      const { code, stderr } = await walkcut(folder, args);
      assertEquals(code, 1, `${name}: ${stderr}`);
      assertMatch(
        stderr,
        /^walkcut: The input ends too early: [^\n]+ after \d+ frames[^\n]+lie in [^\n]+\n$/,
      );
      const frames = Number(/after (\d+) frames/.exec(stderr)![1]);
      assertEquals((await packetTimes(`${folder}/out.partial.mkv`)).length, frames, name);
    }
    // What is appended while it is read counts, or what was there when it was opened; never half a frame.
    const bytes = await Deno.readFile(`${folder}/whole.mkv`);
    const growing = await Deno.open(`${folder}/growing.mkv`, { write: true, create: true });
    let at = 0;
    const grow = async () => {
      at += await growing.write(bytes.subarray(at, Math.min(bytes.length, at + 20_000)));
    };
    while (at < bytes.length / 2) await grow();
    const timer = setInterval(grow, 100);
    const args = [`${folder}/growing.mkv`, "--null-model", "-o", `${folder}/grown.mkv`, "-q"];
    const { code, stderr } = await walkcut(folder, args);
    clearInterval(timer);
    growing.close();
    assert(code === 0 || code === 1, stderr);
    assertMatch(stderr, code === 0 ? /^$/ : /^walkcut: The input ends too early: [^\n]+\n$/);
    const output = `${folder}/${code === 0 ? "grown" : "grown.partial"}.mkv`;
    assert((await packetTimes(output)).length >= 25, stderr);
    assertEquals(await processesWith(folder), []);
  }));

Deno.test("a stdin that closes early is told, with what was done", () =>
  inFolder(async (folder) => {
    await ffmpeg(
      ...["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2", "-pix_fmt", "yuv420p"],
      `${folder}/in.y4m`,
    );
    const y4m = await Deno.readFile(`${folder}/in.y4m`);
    const frame = 6 + 64 * 48 * 3 / 2;
    const header = y4m.indexOf(10) + 1;
    const output = ["--null-model", "-o", "out.mkv", "-y"];
    for (
      const [stdin, code, line, frames] of [
        [y4m.slice(0, header + 5 * frame + 99), 1, /ends inside a frame: after 5 whole frames/, 5],
        [y4m.slice(0, header - 3), 2, /Y4M stream holds no whole frame/, 0],
        [y4m.slice(0, header + 99), 2, /Y4M stream holds no whole frame/, 0],
        [y4m.slice(0, 0), 2, /The input is empty: stdin/, 0],
      ] as const
    ) {
      const outcome = await walkcut(folder, ["-", ...output], { stdin });
      assertEquals(outcome.code, code, outcome.stderr);
      assertMatch(outcome.stderr, /^walkcut: [^\n]+\n$/);
      assertMatch(outcome.stderr, line);
      if (frames > 0) assertEquals((await packetTimes(`${folder}/out.partial.mkv`)).length, frames);
      await Deno.remove(`${folder}/out.partial.mkv`).catch(() => {});
    }
    const closed = new Deno.Command("bash", {
      args: ["-c", `${commandOf(["-", ...output]).map(quoted).join(" ")} <&-`],
      cwd: folder,
    });
    const { code, stderr } = await closed.output();
    assertEquals(code, 2);
    assertMatch(new TextDecoder().decode(stderr), /^walkcut: [^\n]*stdin[^\n]*\n$/);
    assertEquals(await names(folder), ["in.y4m"]);
  }));

for (
  const [fault, injected, line] of [
    [
      "throws where nothing catches",
      `setTimeout(() => { throw new RangeError("injected fault"); }, 300);`,
      /^walkcut: The segmenter's worker stopped: injected fault; .*lie in .*out\.partial\.mkv(; --resume goes on from there)?\n$/,
    ],
    [
      "rejects where nothing waits",
      `setTimeout(() => Promise.reject(new Error("injected fault")), 300);`,
      /^walkcut: The segmenter's worker stopped: injected fault; .*lie in .*out\.partial\.mkv(; --resume goes on from there)?\n$/,
    ],
  ] as const
) {
  Deno.test(`a worker that ${fault} is told in one line, and what was done plays`, () =>
    inFolder(async (folder) => {
      const marker = 'case "frame": {';
      const root = await changedProgram(folder, [
        ["lib/segmenter_worker.ts", marker, `${marker}\nif (message.frame.index === 3) ${injected}`],
      ]);
      await clip(`${folder}/clip.mp4`, 8);
      const args = [`${folder}/clip.mp4`, "--device", "cpu", "--grid", "32", "-o", `${folder}/out.mkv`, "-q"];
      const { code, stderr } = await walkcut(folder, args, { root });
      assertEquals(code, 1, stderr);
      await assertEnded(folder, stderr, line, ["clip.mp4", "out.partial.mkv", "program"]);
      const frames = Number(/the (\d+) frames done/.exec(stderr)![1]);
      assert(frames >= 3);
      assertEquals((await packetTimes(`${folder}/out.partial.mkv`)).length, frames);
    }));
}

Deno.test("--stall-timeout names an ffmpeg that stands still, and what was done plays", () =>
  inFolder(async (folder) => {
    const cases = [
      ["decoder", /1 s: the input;/],
      ["encoder", /1 s: the output .*out\.mkv;/],
    ] as const;
    await byTwo(cases, async ([role, line]) => {
      const own = `${folder}/${role}`;
      await Deno.mkdir(own);
      await clip(`${own}/clip.mp4`);
      const args = [`${own}/clip.mp4`, "--null-model", "-o", `${own}/out.mkv`, "--stall-timeout", "1"];
      const { child, stderr } = await underWay(own, args, 20);
      for (const pid of await children(own, role)) Deno.kill(pid, "SIGSTOP");
      assertEquals((await child.status).code, 1, await stderr);
      await assertEnded(own, await stderr, line, ["clip.mp4", "out.partial.mkv"]);
      if (role === "decoder") assert((await packetTimes(`${own}/out.partial.mkv`)).length >= 20);
    });
  }));

for (const kind of ["mp4", "mkv"]) {
  Deno.test(`an interrupted run into ${kind} ends its sound with its picture`, () =>
    inFolder(async (folder) => {
      await clip(`${folder}/clip.mp4`, 60);
      const args = [
        `${folder}/clip.mp4`,
        "--null-model",
        "-o",
        `${folder}/out.${kind}`,
        "--preset",
        "ultrafast",
      ];
      const { child, stderr } = await underWay(folder, args, 40);
      child.kill("SIGINT");
      assertEquals((await child.status).code, 130, await stderr);
      assertMatch(told(await stderr), /^walkcut: interrupted: \d+ frames, [^\n]*out\.\w+\n$/);
      const frames = Number(/interrupted: (\d+) frames/.exec(await stderr)![1]);
      assert(frames < 1500, `${frames} frames: it was not interrupted`);
      const pictures = await packetTimes(`${folder}/out.${kind}`);
      const sound = await packetTimes(`${folder}/out.${kind}`, "0:a:0");
      assertEquals(pictures.length, frames);
      const [end, soundEnd] = [pictures.at(-1)! + 0.04, sound.at(-1)! + 1024 / 44100];
      assert(Math.abs(end - soundEnd) < 0.06, `picture to ${end} s, sound to ${soundEnd} s`);
      assertEquals(await names(folder), ["clip.mp4", `out.${kind}`]);
      assertEquals(await processesWith(folder), []);
    }));
}

Deno.test("a slow reader of stdout slows the decoder, and memory stays flat", () =>
  inFolder(async (folder) => {
    const [width, height, all, early] = [320, 180, 1200, 300];
    const bytes = width * height * 3;
    await clip(`${folder}/clip.mp4`, all / 25);
    const args = [`${folder}/clip.mp4`, "--null-model", "-o", "-", "--output-format", "rgb24"];
    const child = start(folder, [...args, "--progress", "json"]);
    let told = "";
    const reading = (async () => {
      for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) told += part;
    })();
    const reader = child.stdout.getReader({ mode: "byob" });
    let taken = 0;
    const take = async (frames: number) => {
      let most = 0;
      for (const end = taken + frames * bytes; taken < end;) {
        const { value, done } = await reader.read(new Uint8Array(Math.min(1 << 16, end - taken)));
        if (done) break;
        taken += value.length;
        if (taken % (20 * bytes) < value.length) most = Math.max(most, await resident(child.pid) || 0);
      }
      return most;
    };
    // What the runtime takes once, it has taken by then.
    await take(early / 2);
    const before = await take(early / 2);
    // Nothing is read until nothing moves any more: the pipe is full, and so are the few places before it.
    let last = "";
    while (told !== last) {
      last = told;
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
    const frames = () => Number([...told.matchAll(/"frame":(\d+)/g)].at(-1)![1]);
    assert(frames() <= early + 8, `${frames()} frames are done, ${early} were taken`);
    assert(await resident(child.pid) < 1.15 * before);
    const most = await take(all);
    assertEquals([taken, (await child.status).code], [all * bytes, 0]);
    await reading;
    assertEquals(frames(), all);
    // What is kept of each frame shows: 900 frames are 156 MB.
    assert(most < 1.25 * before, `${before} KiB early, ${most} KiB later`);
  }));
