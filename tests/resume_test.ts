import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname } from "node:path";
import { locateFfmpeg } from "../lib/ffmpeg/locate.ts";
import { uniform } from "../lib/random.ts";
import { joinPieces } from "../lib/sink/resume.ts";
import { openVideoSink } from "../lib/sink/video.ts";
import type { Frame } from "../lib/source/frame.ts";
import { openVideo } from "../lib/source/open.ts";
import { SceneCutDetector } from "../lib/track/scene_cut.ts";
import { Tracker } from "../lib/track/tracker.ts";
import { describe, ffmpeg, inFolder, names, packetTimes, processesWith } from "./io_media.ts";
import { changedProgram, children, quoted, told, underWay, walkcut } from "./program.ts";

const clips = new Map<string, Uint8Array<ArrayBuffer>>();

/** A clip with sound, at uneven times, so that a lost, doubled or shifted frame shows. */
async function clip(folder: string, size: string, seconds: number): Promise<void> {
  const [key, path] = [`${size} ${seconds}`, `${folder}/clip.mp4`];
  const before = clips.get(key);
  if (before) return await Deno.writeFile(path, before);
  await ffmpeg(
    ...["-f", "lavfi", "-i", `testsrc2=size=${size}:rate=25:duration=${seconds}`],
    ...["-f", "lavfi", "-i", `sine=duration=${seconds}`],
    ...["-vf", "select=not(mod(n\\,7))+gt(mod(n\\,5)\\,1)", "-fps_mode", "passthrough"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"],
    path,
  );
  clips.set(key, await Deno.readFile(path));
}

/** Pictures of a video as checksums, in order of presentation, without their times. */
async function pictures(path: string): Promise<string[]> {
  const text = new TextDecoder().decode(
    await ffmpeg("-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framecrc", "-"),
  );
  return text.split("\n").filter((line) => /^\d/.test(line)).map((line) => line.split(",").at(-1)!.trim());
}

/**
 * The option that makes a run decode `rate` seconds of its source a second, so that it cannot come to the end
 * before it is killed. `--resume` does not ask which ffmpeg the killed run had.
 */
async function paced(folder: string, rate: number): Promise<string[]> {
  const { path } = await locateFfmpeg();
  const slow = `${await Deno.makeTempDir({ dir: folder, prefix: "paced-" })}/ffmpeg`;
  const decodes = 'case " $* " in *" -f nut pipe:1 "*)';
  await Deno.writeTextFile(
    slow,
    `#!/bin/sh\n${decodes} exec ${quoted(path)} -readrate ${rate} "$@";; esac\nexec ${quoted(path)} "$@"\n`,
    { mode: 0o755 },
  );
  return ["--ffmpeg", slow];
}

/** Kills a run without a chance to close anything; its encoders too, where the names of their outputs begin so. */
async function killedRun(
  folder: string,
  args: string[],
  { frames, rate, encodersOf }: { frames: number; rate: number; encodersOf?: string | undefined },
): Promise<void> {
  const slow = await paced(folder, rate);
  const { child, stderr } = await underWay(folder, [...args, ...slow], frames);
  const encoders = encodersOf ? await children(encodersOf, "encoder") : [];
  child.kill("SIGKILL");
  for (const pid of encoders) Deno.kill(pid, "SIGKILL");
  await child.status;
  await stderr;
  await Deno.remove(dirname(slow[1]!), { recursive: true });
}

for (
  const { output, labels, all } of [
    { output: "out.mp4", labels: "l.mkv", all: false },
    { output: "out.mov", labels: "l.npy", all: true },
    { output: "out.mkv", labels: "l%04d.png", all: true },
  ]
) {
  const how = all ? "with its encoders" : "alone";
  Deno.test(`--resume goes on with ${output} and ${labels} of a run killed ${how}, twice`, () =>
    inFolder(async (folder) => {
      await clip(folder, "160x90", 40);
      const outputs = (prefix: string) => [
        ...["-o", `${folder}/${prefix}${output}`, "--labels", `${folder}/${prefix}${labels}`],
        ...["--rle", `${folder}/${prefix}r.jsonl`, "--stats", `${folder}/${prefix}s.jsonl`],
      ];
      const args = [`${folder}/clip.mp4`, "--null-model"];
      const encodersOf = all ? `${folder}/b-` : undefined;
      const [whole] = await Promise.all([
        walkcut(folder, [...args, ...outputs("a-"), "-q"]),
        killedRun(folder, [...args, ...outputs("b-")], { frames: 210, rate: 10, encodersOf }),
      ]);
      assertEquals([whole.code, whole.stderr], [0, ""]);
      await killedRun(folder, [...args, ...outputs("b-"), "--resume"], { frames: 150, rate: 10, encodersOf });
      const { code, stderr } = await walkcut(folder, [...args, ...outputs("b-"), "--resume"]);
      assertEquals(code, 0, stderr);
      const done = Number(/goes on after the (\d+) frames that are done/.exec(stderr)?.[1]);
      assert(done >= 20, stderr);

      const list = await names(folder);
      const ours = (prefix: string) =>
        list.filter((name) => name.startsWith(prefix)).map((name) => name.slice(2));
      assertEquals(ours("b-"), ours("a-"));
      for (const name of ours("a-")) {
        const [a, b] = [`${folder}/a-${name}`, `${folder}/b-${name}`];
        if (/\.(mp4|mov|mkv)$/.test(name)) {
          assertEquals(await packetTimes(b), await packetTimes(a), name);
          if (name.startsWith("l")) assertEquals(await pictures(b), await pictures(a), name);
          else {
            assertEquals((await pictures(b)).length, (await pictures(a)).length, name);
            const sound = (path: string) => packetTimes(path, "0:a:0");
            assertEquals((await sound(b)).length, (await sound(a)).length, name);
            assertMatch(await describe(b), /160x90/);
          }
        } else if (name === "s.jsonl") {
          const frames = async (path: string) =>
            (await Deno.readTextFile(path)).trim().split("\n").map((line) => JSON.parse(line).frame);
          assertEquals(await frames(b), await frames(a), name);
        } else assertEquals(await Deno.readFile(b), await Deno.readFile(a), name);
      }
      assertEquals(await processesWith(folder), []);
    }));
}

Deno.test("openVideoSink() keeps the times of pictures that are encoded behind all sound", () =>
  inFolder(async (folder) => {
    await clip(folder, "96x64", 40);
    const source = await openVideo(`${folder}/clip.mp4`);
    const times = (await packetTimes(`${folder}/clip.mp4`)).slice(0, 200);
    const frames: Frame[] = [];
    for await (const frame of source.frames()) if (frames.push(frame) === times.length) break;
    await source.close();
    // The encoder holds back some 50 frames until its input ends; by then the sound has run ahead to its end.
    for (let count = 140; count <= 200; count += 10) {
      const output = `${folder}/${count}.mp4`;
      const sink = await openVideoSink(output, { info: source.info });
      for (const frame of frames.slice(0, count)) await sink.write({ ...frame, channels: 3 });
      await sink.close();
      assertEquals(await packetTimes(output), times.slice(0, count), output);
    }
  }));

Deno.test("joinPieces() keeps the times of pieces of few frames", () =>
  inFolder(async (folder) => {
    await clip(folder, "96x64", 0.8);
    const whole = `${folder}/clip.mp4`;
    const times = await packetTimes(whole);
    for (const extension of ["mkv", "mp4", "mov"]) {
      for (const done of [1, 6, times.length - 3, times.length - 1]) {
        const path = (name: string) => `${folder}/${name}.${extension}`;
        const encode = async (name: string, trim: string) => {
          const filter = ["-map", "0:v", "-vf", `trim=${trim}`, "-fps_mode", "passthrough", "-copyts"];
          const codec = ["-c:v", "libx264", "-preset", "ultrafast", "-avoid_negative_ts", "disabled"];
          await ffmpeg("-y", "-i", whole, ...filter, ...codec, path(name));
        };
        await encode("done", `end_frame=${done}`);
        await encode("rest", `start_frame=${done}`);
        const ticks = 12_800;
        await joinPieces(await locateFfmpeg(), {
          pieces: [
            { path: path("done"), first: 0 },
            { path: path("rest"), first: Math.round(times[done]! * ticks) },
          ],
          timeBase: { num: 1, den: ticks },
          ticks,
          inputArgs: [],
          outputArgs: ["-map", "0:v:0", "-c:v", "copy", path("joined")],
        });
        const joined = await packetTimes(path("joined"));
        assertEquals(joined.length, times.length, `${extension}, ${done} done`);
        joined.forEach((time, i) =>
          assert(Math.abs(time - times[i]!) < 0.0015, `${extension}, ${done} done: ${joined}`)
        );
      }
    }
  }));

Deno.test("--resume carries ids on: labels are those of a run that was not killed", () =>
  inFolder(async (folder) => {
    await clip(folder, "96x64", 0.8);
    // Cold frames do not depend on what came before, so what ids depend on alone is left to differ.
    const args = [
      ...[`${folder}/clip.mp4`, "--device", "cpu", "--grid", "32", "--no-warm-start", "--max-segments", "6"],
    ];
    const outputs = (prefix: string) => [
      ...["-o", `${folder}/${prefix}.mkv`, "--labels", `${folder}/${prefix}.npy`],
      ...["--rle", `${folder}/${prefix}.jsonl`, "--preset", "ultrafast"],
    ];
    const whole = await walkcut(folder, [...args, ...outputs("a"), "-q"]);
    assertEquals([whole.code, whole.stderr], [0, ""]);
    await killedRun(folder, [...args, ...outputs("b")], { frames: 6, rate: 0.6 });
    const { code, stderr } = await walkcut(folder, [...args, ...outputs("b"), "--resume"]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /goes on after the \d+ frames that are done/);
    assertEquals(await packetTimes(`${folder}/b.mkv`), await packetTimes(`${folder}/a.mkv`));
    for (const kind of ["npy", "jsonl"]) {
      assertEquals(
        await Deno.readFile(`${folder}/b.${kind}`),
        await Deno.readFile(`${folder}/a.${kind}`),
        kind,
      );
    }
    assertEquals(await names(folder), ["a.jsonl", "a.mkv", "a.npy", "b.jsonl", "b.mkv", "b.npy", "clip.mp4"]);
  }));

Deno.test("--resume ties up the ends of a run that was killed behind its last frame", () =>
  inFolder(async (folder) => {
    await clip(folder, "96x64", 4);
    const marker = 'for (const step of ["finish", "close"] as const) {';
    const kill = 'await new Promise((r) => setTimeout(r, 2000)); Deno.kill(Deno.pid, "SIGKILL");';
    const root = await changedProgram(folder, [["lib/cli/run.ts", marker, `${kill}\n${marker}`]]);
    const args = [`${folder}/clip.mp4`, "--null-model", "--frames", "60", "-o", `${folder}/out.mp4`];
    const outputs = ["--labels", `${folder}/l.npy`, "--rle", `${folder}/r.jsonl`];
    assertEquals((await walkcut(folder, [...args, ...outputs], { root })).code, 128 + 9);
    const { code, stderr } = await walkcut(folder, [...args, ...outputs, "--resume"]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /wrote [^\n]*out\.mp4, [^\n]*l\.npy, [^\n]*r\.jsonl\n$/);
    assertEquals((await packetTimes(`${folder}/out.mp4`)).length, 60);
    assertEquals((await Deno.readTextFile(`${folder}/r.jsonl`)).trim().split("\n").length, 60);
    assertEquals(await names(folder), ["clip.mp4", "l.npy", "out.mp4", "program", "r.jsonl"]);
  }));

Deno.test("--resume says what it cannot go on with, and starts where nothing is done", () =>
  inFolder(async (folder) => {
    await clip(folder, "160x90", 30);
    const args = [`${folder}/clip.mp4`, "--null-model"];
    const output = ["-o", `${folder}/out.mp4`];
    const refused = async (words: string[], line: RegExp) => {
      const { code, stderr } = await walkcut(folder, [...words, "--resume"]);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, /^walkcut: [^\n]+\n$/);
      assertMatch(stderr, line);
    };
    await Promise.all([
      refused([...args, "-o", "-", "--output-format", "y4m"], /no output is a file|stdout/),
      refused([...args, "-o", `${folder}/out.gif`], /GIF/),
    ]);
    const slow = await paced(folder, 1);
    const { child, stderr } = await underWay(folder, [...args, ...output, ...slow], 20);
    await refused([...args, ...output], /still goes on/);
    child.kill("SIGKILL");
    await stderr;
    await Deno.remove(dirname(slow[1]!), { recursive: true });
    await Promise.all([
      refused([...args, ...output, "--opacity", "0.3"], /--opacity was unset: 0\.3/),
      refused([`${folder}/clip.mp4`, ...output], /--null-model/),
    ]);
    const [resumed, fresh] = await Promise.all([
      walkcut(folder, [...args, ...output, "--resume"]),
      walkcut(folder, [...args, "-o", `${folder}/new.mp4`, "--resume"]),
    ]);
    assertEquals(resumed.code, 0, resumed.stderr);
    assertEquals(fresh.code, 0, fresh.stderr);
    assertEquals(await names(folder), ["clip.mp4", "new.mp4", "out.mp4"]);
    assertMatch(told(fresh.stderr), /^walkcut: nothing is there to go on with[^\n]*\nwalkcut: \d+ frames/);
  }));

Deno.test("Tracker.restore() and SceneCutDetector.restore() go on as if nothing had come between", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = uniform(seed);
  const frameOf = () => {
    const segments = 2 + Math.floor(random() * 6);
    const labels = Uint16Array.from(
      { length: 256 },
      (_, i) => Math.floor((i % 16 + random() * 3) / 19 * segments),
    );
    const colours = new Float32Array(256 * 3).map((_, i) => 40 * labels[Math.floor(i / 3)]! + 30 * random());
    const data = new Uint8Array(32 * 32 * 3).map(() => random() * 256);
    return { labels, segments, colours, frame: { index: 0, pts: 0, width: 32, height: 32, data } };
  };
  const tracker = new Tracker();
  const scenes = new SceneCutDetector(0.02);
  const frames = Array.from({ length: 60 }, frameOf);
  for (const { frame, ...partition } of frames.slice(0, 30)) {
    tracker.assign(partition);
    scenes.startsScene(frame);
  }
  // As they come back from a file.
  const later = Tracker.restore(JSON.parse(JSON.stringify(tracker.snapshot())));
  const laterScenes = new SceneCutDetector(0.02);
  laterScenes.restore(JSON.parse(JSON.stringify(scenes.snapshot())));
  for (const [i, { frame, ...partition }] of frames.slice(30).entries()) {
    assertEquals(later.assign(partition), tracker.assign(partition), `seed ${seed}, frame ${i}`);
    assertEquals(laterScenes.startsScene(frame), scenes.startsScene(frame), `seed ${seed}, frame ${i}`);
  }
});
