import { assert, assertEquals, assertRejects } from "@std/assert";
import { openVideo, type VideoSource } from "../lib/source/mod.ts";
import { claimOutput, openLabelSink, openPictureSink, openRleSink } from "../lib/sink/mod.ts";
import { compressCounts, encodeSegments } from "../lib/sink/rle.ts";
import { nutCrc } from "../lib/ffmpeg/nut.ts";
import { FfmpegError, UsageError, WalkcutError } from "../lib/errors.ts";
import { decodeRle, describe, ffmpeg, inFolder, names, packetTimes, processesWith } from "./io_media.ts";

const LAVFI = ["-f", "lavfi", "-i"];
const SOUND = ["-f", "lavfi", "-i", "sine=d=1"];

/** Labels that depend on the frame, above 255 too. */
function labelsOf(index: number, pixels: number): Uint16Array<ArrayBuffer> {
  return Uint16Array.from({ length: pixels }, (_, i) => 1 + (i * 7 + index * 131) % 1000);
}

async function copy(source: VideoSource, output: string, options = {}): Promise<void> {
  const sink = await openPictureSink(output, { info: source.info, ...options });
  for await (const frame of source.frames()) await sink.write({ ...frame, channels: 3 });
  await sink.close();
}

Deno.test("openPictureSink() keeps frames, times, size, colours and sound in every container", () =>
  inFolder(async (folder) => {
    const slow = ["-vf", "setpts=PTS+floor(N*N/9)", "-frames:v", "10", "-vsync", "0"];
    const inputs: [string, string[]][] = [
      ["sd.mp4", [
        ...SOUND,
        ...slow,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-c:a",
        "aac",
        "-pix_fmt",
        "yuv420p",
      ]],
      ["plain.mkv", [...slow, "-c:v", "ffv1", "-pix_fmt", "yuv420p", "-colorspace", "bt709"]],
      ["anim.gif", slow],
    ];
    for (const [name, args] of inputs) {
      const file = `${folder}/${name}`;
      await ffmpeg(...LAVFI, "testsrc2=s=64x48:r=20", ...args, file);
      const expected = await packetTimes(file);
      for (const kind of ["mp4", "mov", "mkv", "webm", "gif"]) {
        const output = `${folder}/${name}.${kind}`;
        const fast = kind === "webm" || kind === "gif" ? {} : { preset: "ultrafast" };
        const source = await openVideo(file);
        await copy(source, output, fast);
        const times = await packetTimes(output);
        assertEquals(times.length, 10, output);
        const tick = kind === "gif" ? 0.01 : kind === "mkv" || kind === "webm" ? 0.001 : 1e-6;
        times.forEach((time, i) => {
          const off = Math.abs(time - times[0]! - expected[i]! + expected[0]!);
          assert(off <= tick, `${output} frame ${i} is ${off} s off`);
        });
        const text = await describe(output);
        assert(/64x48/.test(text), text);
        if (kind !== "gif") assert(text.includes(source.info.color!.matrix), text);
        assertEquals(/Audio:/.test(text), name === "sd.mp4" && kind !== "gif", text);
      }
    }
    assertEquals((await names(folder)).filter((name) => name.includes("partial")), []);
  }));

Deno.test("openPictureSink() keeps the length of a GIF's last frame", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.gif`;
    await ffmpeg(...LAVFI, "testsrc2=s=32x24:r=10", "-frames:v", "5", "-final_delay", "150", file);
    for (const kind of ["gif", "mp4", "mkv"]) {
      const output = `${folder}/b.${kind}`;
      await copy(await openVideo(file), output);
      const duration = /Duration: 00:00:0([\d.]+)/.exec(await describe(output))?.[1];
      assertEquals(Number(duration), 1.9, kind);
    }
  }));

Deno.test("openLabelSink() is lossless in every form", () =>
  inFolder(async (folder) => {
    const [width, height, pixels] = [13, 9, 117];
    const info = {
      width,
      height,
      timeBase: { num: 1, den: 100 },
      frameRate: { num: 20, den: 1 },
      still: false,
      audioStreams: 0,
      subtitleStreams: 0,
    };
    const whole = new Uint8Array(
      new Uint16Array([0, 1, 2, 3].flatMap((i) => [...labelsOf(i, pixels)])).buffer,
    );
    for (const name of ["l.mkv", "l%03d.png", "l.npy"]) {
      const sink = await openLabelSink(`${folder}/${name}`, { info });
      for (let i = 0; i < 4; i++) {
        await sink.write({ width, height, pts: i * i * 5, labels: labelsOf(i, pixels) });
      }
      await sink.close();
      const bytes = name.endsWith("npy") ? (await Deno.readFile(`${folder}/l.npy`)).slice(128) : await ffmpeg(
        "-i",
        `${folder}/${name}`,
        "-vsync",
        "0",
        "-pix_fmt",
        "gray16le",
        "-f",
        "rawvideo",
        "-",
      );
      assertEquals(nutCrc(bytes), nutCrc(whole), name);
    }
    assertEquals(await packetTimes(`${folder}/l.mkv`), [0, 0.05, 0.2, 0.45]);
    const header = new TextDecoder().decode((await Deno.readFile(`${folder}/l.npy`)).slice(10, 128));
    assert(header.includes("(4, 9, 13)") && header.endsWith("\n"), header);

    const palette = await openLabelSink(`${folder}/p%d.png`, { info, palette: true });
    const low = labelsOf(0, pixels).map((id) => id % 256);
    await palette.write({ width, height, pts: 0, labels: low });
    await assertRejects(
      () => palette.write({ width, height, pts: 1, labels: new Uint16Array(pixels).fill(256) }),
      WalkcutError,
      "does not fit",
    );
    assert(/pal8/.test(await describe(`${folder}/p1.png`)));
  }));

Deno.test("encodeSegments() is what COCO's decoder reads back", () => {
  assertEquals(compressCounts([0, 5]), "05");
  const known = Uint16Array.from({ length: 90 }, (_, i) => {
    const [x, y] = [i % 10, Math.floor(i / 10)];
    return x >= 3 && x < 6 && y >= 2 && y < 5 ? 2 : 1;
  });
  const { area, bbox } = encodeSegments(known, 10, 9)[1]!;
  assertEquals([area, bbox], [9, [3, 2, 3, 3]]);
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  for (const [width, height] of [[1, 1], [7, 5], [40, 33], [300, 2]] as const) {
    let state = seed;
    const labels = Uint16Array.from({ length: width * height }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return 1 + (state >>> 28) % 3;
    });
    const back = new Uint16Array(width * height);
    for (const { id, area, bbox, rle } of encodeSegments(labels, width, height)) {
      const mask = decodeRle(rle.counts, height, width);
      assertEquals(mask.reduce((a, b) => a + b, 0), area, `seed ${seed}`);
      const inside = [...mask.keys()].filter((i) => mask[i]);
      const [xs, ys] = [inside.map((i) => i % width), inside.map((i) => Math.floor(i / width))];
      const [left, top] = [Math.min(...xs), Math.min(...ys)];
      assertEquals(bbox, [left, top, Math.max(...xs) - left + 1, Math.max(...ys) - top + 1], `seed ${seed}`);
      inside.forEach((i) => back[i] = id);
    }
    assertEquals(back, labels, `seed ${seed}`);
  }
});

Deno.test("claimOutput() and the sinks refuse before anything is written", () =>
  inFolder(async (folder) => {
    const info = {
      width: 4,
      height: 4,
      timeBase: { num: 1, den: 25 },
      still: false,
      audioStreams: 0,
      subtitleStreams: 0,
    };
    await Deno.writeTextFile(`${folder}/there.mp4`, "");
    await Deno.mkdir(`${folder}/dir.mp4`);
    const before = await names(folder);
    await claimOutput(`${folder}/there.mp4`, { overwrite: true });
    const refused: [() => Promise<unknown>, RegExp][] = [
      [() => claimOutput(`${folder}/there.mp4`), /exists.*-y/],
      [() => claimOutput(`${folder}/dir.mp4`, { overwrite: true }), /is a folder/],
      [() => claimOutput(`${folder}/no/x.mp4`), /folder does not exist/],
      [() => openPictureSink(`${folder}/x.xyz`, { info }), /Unknown kind/],
      [() => openPictureSink(`${folder}/x.png`, { info }), /cannot hold a video/],
      [() => openPictureSink(`${folder}/x.mp4`, { info, codec: "nope" }), /no such encoder/],
      [() => openPictureSink(`${folder}/x.mp4`, { info, channels: 4 }), /no alpha/],
      [() => openLabelSink(`${folder}/x.mp4`, { info }), /Unknown kind of label/],
      [() => openLabelSink(`${folder}/x.npy`, { info, palette: true }), /--palette/],
      [() => openRleSink(`${folder}/no/x.jsonl`, { info }), /folder does not exist/],
    ];
    for (const [open, line] of refused) {
      const error = await open().then(() => undefined, (error: unknown) => error);
      assert(error instanceof UsageError && line.test(error.message), `${line}: ${error}`);
    }
    assertEquals(await names(folder), before);
  }));

Deno.test("A killed encoder and a killed decoder are named, and leave no child", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.mkv`;
    await ffmpeg(
      ...LAVFI,
      "testsrc2=s=320x240:r=25",
      "-frames:v",
      "60",
      "-c:v",
      "libx264",
      "-preset",
      "ultrafast",
      file,
    );
    const kill = async (role: string) => {
      const mark = role === "decoder" ? "pipe:1" : "pipe:0";
      const marked = await processesWith(mark);
      for (const pid of await processesWith(folder)) {
        if (marked.includes(pid)) Deno.kill(pid, "SIGKILL");
      }
    };
    for (const role of ["decoder", "encoder"]) {
      const source = await openVideo(file);
      const sink = await openPictureSink(`${folder}/${role}.mkv`, { info: source.info, preset: "ultrafast" });
      const run = async () => {
        for await (const frame of source.frames()) {
          await sink.write({ ...frame, channels: 3 });
          if (frame.index === 5) await kill(role);
        }
        await sink.close();
      };
      const error = await run().then(() => undefined, (error: unknown) => error);
      await sink.abort();
      await source.close();
      assert(
        error instanceof FfmpegError && error.message.includes(`(${role}): killed by SIGKILL`),
        `${error}`,
      );
      assertEquals(await processesWith(folder), []);
      if (role === "decoder") {
        // What was done plays.
        assert((await packetTimes(sink.partial!)).length >= 5);
      }
    }
    assert(!(await names(folder)).includes("encoder.mkv"));
  }));
