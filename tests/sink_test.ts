import { assert, assertEquals, assertRejects } from "@std/assert";
import { openVideo, type VideoInfo, type VideoSource } from "../lib/source/mod.ts";
import { claimOutput, openLabelSink, openPictureSink, openRleSink } from "../lib/sink/mod.ts";
import { compressCounts, encodeSegments } from "../lib/sink/rle.ts";
import { nutCrc } from "../lib/ffmpeg/nut.ts";
import { locateFfmpeg } from "../lib/ffmpeg/locate.ts";
import { DeviceError, FfmpegError, UsageError, WalkcutError } from "../lib/errors.ts";
import {
  decodeRle,
  describe,
  ffmpeg,
  inFolder,
  names,
  packetTimes,
  processesWith,
  runMain,
} from "./io_media.ts";

const LAVFI = ["-f", "lavfi", "-i"];
const SOUND = ["-f", "lavfi", "-i", "sine=d=1"];

/** What a source without sound says of itself. */
function infoOf(width: number, height: number, ticks: number): VideoInfo {
  return {
    width,
    height,
    timeBase: { num: 1, den: ticks },
    still: false,
    audioStreams: 0,
    subtitleStreams: 0,
  };
}

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
    const info = { ...infoOf(width, height, 100), frameRate: { num: 20, den: 1 } };
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
  // Known strings: an empty and a full mask of 10×10, and differences of both signs.
  assertEquals(compressCounts([0, 5]), "05");
  assertEquals(compressCounts([100]), "T3");
  assertEquals(compressCounts([0, 100]), "0T3");
  assertEquals(compressCounts([6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
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

Deno.test("openPictureSink() keeps subtitles, chapters and metadata where they can be, and says where not", () =>
  inFolder(async (folder) => {
    const file = `${folder}/full.mkv`;
    await Deno.writeTextFile(
      `${folder}/s.srt`,
      "1\n00:00:00,100 --> 00:00:00,400\nEarly\n\n2\n00:00:01,200 --> 00:00:01,800\nLate words\n",
    );
    await Deno.writeTextFile(
      `${folder}/m.txt`,
      ";FFMETADATA1\ntitle=Of two parts\n" +
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n" +
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n",
    );
    const inputs = ["-i", `${folder}/s.srt`, "-i", `${folder}/m.txt`];
    const maps = ["-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", "-map_chapters", "3"];
    await ffmpeg(
      ...[...LAVFI, "testsrc2=s=64x48:r=25:d=2", ...LAVFI, "sine=d=2", ...inputs, ...maps],
      ...["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", "-c:s", "srt", file],
    );
    // What each container makes of the subtitles, and what must be said.
    const cases: [string, string | undefined, RegExp[]][] = [
      ["mkv", "subrip", []],
      ["mp4", "mov_text", [/^subtitles are transcoded: subrip becomes mov_text$/]],
      ["mov", "mov_text", [
        /^sound is transcoded: .mov does not take flac, so it becomes aac$/,
        /^subtitles are transcoded: subrip becomes mov_text$/,
      ]],
      ["webm", "webvtt", [
        /^sound is transcoded: .webm does not take flac, so it becomes libvorbis$/,
        /^subtitles are transcoded: subrip becomes webvtt$/,
      ]],
      ["gif", undefined, [
        /^sound \(flac\) is dropped: .gif has none$/,
        /^subtitles \(subrip\) are dropped: .gif does not take them$/,
        /^title, chapters dropped: .gif has no place for them$/,
      ]],
    ];
    for (const start of [0, 0.5]) {
      for (const [kind, subtitles, lines] of cases) {
        if (start > 0 && /mov|gif/.test(kind)) continue; // As MP4, or nothing to see.
        const output = `${folder}/${start}.${kind}`;
        const said: string[] = [];
        const name = `.${kind} from ${start}`;
        const warn = (line: string) => said.push(line);
        await copy(await openVideo(file, { start }), output, { warn });
        assertEquals(said.length, lines.length, `${name}: ${said}`);
        lines.forEach((line, i) => assert(line.test(said[i]!), `${name}: ${said}`));
        const text = await describe(output);
        if (!subtitles) {
          assert(!/Subtitle:|Chapter|title/.test(text), text);
          continue;
        }
        assert(text.includes(`Subtitle: ${subtitles}`) && /title +: Of two parts/.test(text), text);
        const chapters = [...text.matchAll(/Chapter #0:\d: start ([\d.]+), end ([\d.]+)/g)]
          .map(([, from, to]) => [Number(from), Number(to)]);
        assertEquals(chapters, [[0, 1 - start], [1 - start, 2 - start]], name);
        const shown = new TextDecoder().decode(
          await ffmpeg("-copyts", "-i", output, "-map", "0:s", "-f", "srt", "-"),
        );
        const times = `00:00:0${(1.2 - start).toFixed(3)} --> 00:00:0${(1.8 - start).toFixed(3)}`;
        assert(shown.includes(`${times.replaceAll(".", ",")}\nLate words`), `${name}: ${shown}`);
      }
    }
  }));

Deno.test("openPictureSink() keeps alpha in every output that a cutout may have", () =>
  inFolder(async (folder) => {
    const [width, height, count] = [64, 48, 3];
    const info = { ...infoOf(width, height, 25), frameRate: { num: 25, den: 1 } };
    // A disc that moves, its outline soft: what is outside keeps its colours.
    const picture = (n: number) =>
      Uint8Array.from({ length: 4 * width * height }, (_, i) => {
        const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
        const inside = 14 - Math.hypot(x - 20 - 8 * n, y - 24);
        return [40 + 2 * x, 200 - 2 * y, 90 + x + y, Math.max(0, Math.min(255, 128 + 64 * inside))][i & 3]!;
      });
    const kinds: [name: string, pixels: RegExp, decoder: string[], off: number][] = [
      ["c.mov", /prores \(4444\).*yuva444p1[02]le/, [], 3],
      ["c.webm", /vp9.*alpha_mode +: 1/s, ["-c:v", "libvpx-vp9"], 4],
      ["c.mkv", /ffv1.*bgra/, [], 0],
      ["c%02d.png", /png.*rgba/, [], 0],
    ];
    for (const [name, pixels, decoder, off] of kinds) {
      const sink = await openPictureSink(`${folder}/${name}`, {
        info,
        channels: 4,
        ...(off ? { crf: 4 } : {}),
      });
      for (let n = 0; n < count; n++) {
        await sink.write({ width, height, pts: n, channels: 4, data: picture(n) });
      }
      await sink.close();
      const text = await describe(`${folder}/${name.replace("%02d", "01")}`);
      assert(pixels.test(text), `${name}: ${text}`);
      const back = await ffmpeg(
        ...[...decoder, "-i", `${folder}/${name}`, "-vf", "scale=flags=accurate_rnd+full_chroma_int"],
        ...["-pix_fmt", "rgba", "-f", "rawvideo", "-"],
      );
      assertEquals(back.length, count * 4 * width * height, name);
      for (let n = 0; n < count; n++) {
        const meant = picture(n);
        const sums = [0, 0];
        for (let i = 0; i < meant.length; i++) {
          // Colours count where they show.
          const weight = (i & 3) === 3 ? 1 : meant[i | 3]! / 255 / 3;
          sums[(i & 3) === 3 ? 0 : 1]! += weight * Math.abs(back[n * meant.length + i]! - meant[i]!);
        }
        const [alpha, colour] = sums.map((sum) => sum / width / height);
        assert(alpha! <= off && colour! <= off, `${name}, frame ${n}: alpha ${alpha}, colours ${colour} off`);
      }
    }
    const gif = await openPictureSink(`${folder}/c.gif`, { info, channels: 4 });
    for (let n = 0; n < count; n++) await gif.write({ width, height, pts: n, channels: 4, data: picture(n) });
    await gif.close();
    const back = await ffmpeg("-i", `${folder}/c.gif`, "-pix_fmt", "rgba", "-f", "rawvideo", "-");
    for (let n = 0; n < count; n++) {
      const meant = picture(n);
      const wrong = meant.filter((a, i) =>
        (i & 3) === 3 && (a < 64 || a > 192) && (a > 128) !== (back[n * meant.length + i]! > 128)
      );
      assertEquals(wrong.length, 0, `c.gif, frame ${n}: a GIF's pixels are there or not`);
    }
  }));

Deno.test("walkcut writes several pictures and label maps from one computation", () =>
  inFolder(async (folder) => {
    await ffmpeg(...LAVFI, "testsrc2=s=64x48:r=25", "-frames:v", "5", "-c:v", "ffv1", `${folder}/in.mkv`);
    const run = (...args: string[]) => runMain(folder, ["in.mkv", "--null-model", "-q", ...args]);
    const outputs = ["-o", "a.mp4", "-o", "b.gif", "-o", "-", "-o", "c%d.png", "--output-format", "rgb24"];
    const { code, stdout, stderr } = await run(...outputs, "--labels", "l.mkv", "--labels", "l.npy");
    assertEquals([code, stderr, stdout.length], [0, "", 5 * 64 * 48 * 3]);
    for (const name of ["a.mp4", "b.gif", "c%d.png", "l.mkv"]) {
      const frames = await ffmpeg("-i", `${folder}/${name}`, "-pix_fmt", "gray", "-f", "rawvideo", "-");
      assertEquals(frames.length, 5 * 64 * 48, name);
    }
    const pictures = await ffmpeg("-i", `${folder}/c%d.png`, "-pix_fmt", "rgb24", "-f", "rawvideo", "-");
    assertEquals(nutCrc(pictures), nutCrc(stdout), "the pictures and stdout are the same");
    const ids = await ffmpeg("-i", `${folder}/l.mkv`, "-pix_fmt", "gray16le", "-f", "rawvideo", "-");
    assertEquals(nutCrc((await Deno.readFile(`${folder}/l.npy`)).slice(128)), nutCrc(ids));
    const before = await names(folder);
    for (
      const [args, line] of [
        [["-o", "d.mp4", "-o", "./d.mp4"], /--output and --output are the same file/],
        [["-o", "-", "-o", "-", "--output-format", "nut"], /-o - can be given once/],
        [["-o", "d.mkv", "-o", "d.mp4", "--show", "cutout", "--segment", "1"], /alpha: d\.mp4/],
      ] as const
    ) {
      const { code, stdout, stderr } = await run(...args);
      assertEquals([code, stdout.length], [2, 0]);
      assert(line.test(stderr), stderr);
    }
    assertEquals(await names(folder), before);
  }));

Deno.test("Y4M on stdout says when it loses uneven times, once", () =>
  inFolder(async (folder) => {
    const uneven = ["-vf", "setpts=PTS+floor(N*N/3)/(FRAME_RATE*TB)", "-fps_mode", "passthrough"];
    for (
      const [name, args, line] of [["even", [], /^$/], [
        "uneven",
        uneven,
        /^walkcut: .*uneven.*nut.*\n$/,
      ]] as const
    ) {
      const file = `${folder}/${name}.mkv`;
      await ffmpeg(
        ...LAVFI,
        "testsrc2=s=64x48:r=30000/1001",
        ...args,
        "-frames:v",
        "9",
        "-c:v",
        "ffv1",
        file,
      );
      const { code, stderr } = await runMain(folder, [
        ...[file, "--null-model", "-o", "-", "--output-format", "y4m", "--progress", "none"],
      ]);
      assertEquals(code, 0);
      const said = stderr.split("\n").filter((text) => !/ frames, /.test(text)).join("\n");
      assert(line.test(said), stderr);
    }
  }));

Deno.test("openPictureSink() finds an encoder in hardware by trying, and says why there is none", () =>
  inFolder(async (folder) => {
    const real = (await locateFfmpeg()).path;
    const info = infoOf(256, 256, 25);
    // An ffmpeg on a machine that has one such encoder: it stands for x264 here.
    const machine = async (has: string) => {
      const path = `${folder}/ffmpeg-${has}`;
      await Deno.writeTextFile(
        path,
        `#!/bin/bash
args=()
for a in "$@"; do
  case "$a" in
    -encoders) echo " V....D h264_nvenc  an encoder in hardware"; exec ${real} "$@" ;;
    ${has}) a=libx264 ;;
    *_nvenc|*_qsv|*_vaapi|*_v4l2m2m|*_amf|*_mf|*_videotoolbox) echo "[error] No such device: $a" >&2; exit 1 ;;
    -cq) a=-crf ;;
    -rc) a=-preset ;;
    vbr) a=ultrafast ;;
  esac
  args+=("$a")
done
exec ${real} "\${args[@]}"
`,
        { mode: 0o755 },
      );
      return path;
    };
    const open = async (has: string, codec: string) =>
      await openPictureSink(`${folder}/${has}-${codec}.mp4`, { info, codec, ffmpeg: await machine(has) });
    const sink = await open("h264_nvenc", "hardware");
    for (let pts = 0; pts < 3; pts++) {
      await sink.write({ width: 256, height: 256, channels: 3, pts, data: new Uint8Array(256 * 256 * 3) });
    }
    await sink.close();
    assert(/Video: h264 /.test(await describe(sink.output)));
    for (
      const [has, codec, line] of [
        ["none", "hardware", /^No encoder in hardware works here: .*h264_nvenc: No such device: h264_nvenc/],
        ["none", "h264_nvenc", /^h264_nvenc does not work here: No such device: h264_nvenc/],
      ] as const
    ) {
      const error = await open(has, codec).then(() => undefined, (error: unknown) => error);
      assert(error instanceof DeviceError && line.test(error.message), `${error}`);
      assertEquals(error.exitCode, 3);
    }
  }));

Deno.test("claimOutput() and the sinks refuse before anything is written", () =>
  inFolder(async (folder) => {
    const info = infoOf(4, 4, 25);
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
