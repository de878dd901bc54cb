import { assert, assertEquals, assertMatch } from "@std/assert";
import { openPictureSink } from "../lib/sink/mod.ts";
import { openVideo, type SourceOptions } from "../lib/source/mod.ts";
import {
  describe,
  ffmpeg,
  ffmpegSaying,
  inFolder,
  lagOf,
  names,
  packetTimes,
  processesWith,
  SOUND_RATE,
  streamOf,
} from "./io_media.ts";
import { commandOf, quoted, start, told, walkcut } from "./program.ts";

const SECONDS = 3;

/** A clip as a stream: pictures, and a tone that climbs, so that it is like itself at no other time. */
async function streamed(
  muxer: string,
  video: readonly string[],
  sound: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  const tone = `aevalsrc='0.5*sin(2*PI*(200*t+2000*t*t))':s=${SOUND_RATE}:d=${SECONDS}`;
  return await ffmpeg(
    ...["-f", "lavfi", "-i", `testsrc2=size=64x48:rate=25:duration=${SECONDS}`, "-f", "lavfi", "-i", tone],
    ...["-map", "0:v", "-map", "1:a", "-pix_fmt", "yuv420p", ...video, ...sound, "-f", muxer, "pipe:1"],
  );
}

/** The times of a file's frames and its sound from its time 0, as ffmpeg alone takes them. */
async function heard(path: string): Promise<{ times: number[]; sound: Float32Array<ArrayBuffer> }> {
  const resample = `aresample=${SOUND_RATE}:async=1:min_hard_comp=0.001:first_pts=0`;
  const { said } = await ffmpegSaying(
    "info",
    ...["-i", `file:${path}`, "-map", "0:V:0", "-fps_mode", "passthrough", "-vf", "showinfo"],
    ...["-f", "null", "-", "-map", "0:a:0", "-af", resample, "-ac", "1", "-f", "f32le", `${path}.pcm`],
  );
  const sound = new Float32Array((await Deno.readFile(`${path}.pcm`)).buffer);
  await Deno.remove(`${path}.pcm`);
  return {
    times: [...said.matchAll(/ n: *\d+ .*?pts_time:([\d.]+)/g)].map(([, time]) => Number(time)),
    sound,
  };
}

const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"];

for (
  const { muxer, video, sound, output, exact } of [
    { muxer: "matroska", video: x264, sound: ["-c:a", "flac"], output: "o.mkv", exact: true },
    { muxer: "nut", video: ["-c:v", "rawvideo"], sound: ["-c:a", "pcm_s16le"], output: "o.mov", exact: true },
    { muxer: "mpegts", video: x264, sound: ["-c:a", "aac"], output: "o.mp4", exact: false },
    {
      muxer: "mp4",
      video: [...x264, "-movflags", "frag_keyframe+empty_moov+default_base_moof"],
      sound: ["-c:a", "libopus"],
      output: "o.webm",
      exact: false,
    },
    // Its clock is the frame rate's: a start between two frames is no tick of it.
    { muxer: "ogg", video: ["-c:v", "libtheora"], sound: ["-c:a", "flac"], output: "o.mp4", exact: true },
  ] as const
) {
  Deno.test(`the sound of ${muxer} on a pipe is in ${output}, in sync, whatever is cut out`, () =>
    inFolder(async (folder) => {
      const stdin = await streamed(muxer, video, sound);
      await Deno.writeFile(`${folder}/in`, stdin);
      const before = await heard(`${folder}/in`);
      const windows: readonly Pick<SourceOptions, "start" | "end" | "frames">[] = [
        {},
        { start: 0.91, end: 2.25 },
        { start: 1, frames: 30 },
      ];
      await Promise.all(windows.map(async (window, i) => {
        const own = `${folder}/${i}`;
        await Deno.mkdir(own);
        const label = `${muxer} → ${output} ${JSON.stringify(window)}`;
        const aside = `${own}/aside.mka`;
        const source = await openVideo("-", { ...window, stdin: streamOf(stdin), aside });
        const sink = await openPictureSink(`${own}/${output}`, {
          ...{ info: source.info, overwrite: true },
          ...(output === "o.webm" ? { preset: "realtime" } : { preset: "ultrafast" }),
        });
        let count = 0;
        for await (const frame of source.frames()) {
          count++;
          await sink.write({ ...frame, channels: 3 });
        }
        await sink.close();
        await source.close();
        assertEquals(await names(own), [output], label);

        const after = await heard(`${own}/${output}`);
        assertEquals(after.times.length, count, label);
        const shown = before.times.find((time) => time >= (window.start ?? 0) - 1e-6)!;
        const { lag, alike } = lagOf(before.sound, after.sound, shown - after.times[0]!);
        assert(Math.abs(lag) <= 0.0011, `${label}: ${lag} s apart`);
        // A packet that the start cuts is left out.
        assert(alike > (exact && window.start === undefined ? 0.999 : 0.98), `${label}: alike by ${alike}`);
        const [length, packet] = [after.times.at(-1)! + 0.04, 0.1];
        const heardFor = after.sound.length / SOUND_RATE;
        assert(Math.abs(heardFor - length) < packet, `${label}: ${length} s of frames, ${heardFor} of sound`);
        if (window.frames !== undefined) assertEquals(count, window.frames);
        if (!exact || Object.keys(window).length > 0) return;
        // Packet by packet as it was.
        assertEquals(
          await ffmpeg("-i", `${own}/${output}`, "-map", "0:a", "-f", "md5", "-"),
          await ffmpeg("-i", `${folder}/in`, "-map", "0:a", "-f", "md5", "-"),
          label,
        );
      }));
    }));
}

/** Matroska with sound, subtitles, a chapter and tags, as a pipe has it. */
async function richStream(folder: string, seconds: number): Promise<Uint8Array<ArrayBuffer>> {
  const tags = ";FFMETADATA1\ntitle=A pipe\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n";
  await Deno.writeTextFile(`${folder}/tags.txt`, tags);
  await Deno.writeTextFile(`${folder}/s.srt`, "1\n00:00:00,500 --> 00:00:01,500\nhello\n");
  const stream = await ffmpeg(
    ...["-f", "lavfi", "-i", `testsrc2=size=64x48:rate=25:duration=${seconds}`],
    ...["-f", "lavfi", "-i", `sine=duration=${seconds}`, "-i", `${folder}/s.srt`],
    ...["-f", "ffmetadata", "-i", `${folder}/tags.txt`, "-map_metadata", "3", "-map_chapters", "3"],
    ...["-map", "0:v", "-map", "1:a", "-map", "2:s", ...x264, "-c:a", "aac", "-c:s", "srt"],
    ...["-f", "matroska", "pipe:1"],
  );
  await Deno.remove(`${folder}/tags.txt`);
  await Deno.remove(`${folder}/s.srt`);
  return stream;
}

Deno.test("walkcut - keeps sound, subtitles, chapters and tags in files, and says what it turns or drops", () =>
  inFolder(async (folder) => {
    const stdin = await richStream(folder, 3);
    await Deno.writeFile(`${folder}/in.mkv`, stdin);
    const srt = async (path: string) =>
      new TextDecoder().decode(await ffmpeg("-i", path, "-map", "0:s", "-f", "srt", "-"));
    const text = await srt(`${folder}/in.mkv`);
    assertMatch(text, /hello/);
    await Deno.remove(`${folder}/in.mkv`);
    const outputs = ["-o", "a.mp4", "-o", "b.mkv", "-o", "c.webm", "--preset", "realtime"];
    const files = ["-", "--null-model", ...outputs.slice(0, 4), "--preset", "ultrafast"];
    const whole = await walkcut(folder, files, { stdin });
    assertEquals(whole.code, 0, whole.stderr);
    assertEquals(await names(folder), ["a.mp4", "b.mkv"]);
    for (const name of ["a.mp4", "b.mkv"]) {
      const said = await describe(`${folder}/${name}`);
      assertMatch(said, /Audio: aac/, name);
      assertMatch(said, name === "a.mp4" ? /Subtitle: mov_text/ : /Subtitle: subrip/);
      assertMatch(said, /title +: A pipe/);
      assertMatch(said, /Chapter #0:0[^]*title +: One/);
      assertEquals(await srt(`${folder}/${name}`), text, name);
    }
    assertMatch(whole.stderr, /subtitles are transcoded: subrip becomes mov_text/);

    const webm = await walkcut(folder, ["-", "--null-model", ...outputs.slice(4)], { stdin });
    assertEquals(webm.code, 0, webm.stderr);
    assertMatch(webm.stderr, /sound is transcoded: \.webm does not take aac, so it becomes libvorbis/);
    assertMatch(await describe(`${folder}/c.webm`), /Audio: vorbis/);

    const bare = await walkcut(folder, ["-", "--null-model", "-o", "d.mkv", "--no-audio", "-q"], { stdin });
    assertEquals([bare.code, bare.stderr], [0, ""]);
    assert(!/Audio:|Subtitle:/.test(await describe(`${folder}/d.mkv`)));
    const args = ["-", "--null-model", "-o", "-", "--output-format", "gray8"];
    const piped = await walkcut(folder, args, { stdin });
    assertEquals([piped.code, piped.stdout.length], [0, 75 * 64 * 48]);
    assertMatch(piped.stderr, /sound of a piped input is not on stdout/);
    assertEquals(await names(folder), ["a.mp4", "b.mkv", "c.webm", "d.mkv"]);
  }));

Deno.test("a run on a pipe that is stopped or fails leaves nothing of the sound aside", () =>
  inFolder(async (folder) => {
    const stdin = await richStream(folder, 30);
    /** Feeds the head of the pipe, does something once the sound is put aside, and waits for the end. */
    const underWay = async (act: (child: Deno.ChildProcess) => Promise<void>, whole = false) => {
      const args = [
        "-",
        "--null-model",
        "-o",
        "out.mp4",
        "--preset",
        "ultrafast",
        "--progress",
        "json",
        "-y",
      ];
      const child = start(folder, args, { stdin });
      child.stdout.cancel().catch(() => {});
      let text = "";
      const begun = Promise.withResolvers<void>();
      const reading = (async () => {
        for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
          text += part;
          if (/"frame":[1-9]/.test(text)) begun.resolve();
        }
        begun.reject(new Error(text));
      })();
      const writer = child.stdin.getWriter();
      const half = stdin.length >> 1;
      await writer.write(stdin.subarray(0, half));
      await begun.promise;
      await act(child);
      if (whole) await writer.write(stdin.subarray(half)).catch(() => {});
      if (whole) await writer.close().catch(() => {});
      const { code } = await child.status;
      await reading;
      writer.abort().catch(() => {});
      return { code, stderr: told(text) };
    };
    const keepers = async () => await processesWith("out.partial.sound.mka");

    const interrupted = await underWay((child) => Promise.resolve(child.kill("SIGINT")));
    assertEquals(interrupted.code, 130, interrupted.stderr);
    assertEquals(await names(folder), ["out.mp4"]);
    const [pictures, sound] = [
      await packetTimes(`${folder}/out.mp4`),
      await packetTimes(`${folder}/out.mp4`, "0:a:0"),
    ];
    assert(pictures.length < 750 && Math.abs(pictures.at(-1)! - sound.at(-1)!) < 0.06);
    await Deno.remove(`${folder}/out.mp4`);

    const killed = await underWay(async () => {
      for (const pid of await keepers()) Deno.kill(pid, "SIGKILL");
    }, true);
    assertEquals(killed.code, 4, killed.stderr);
    assertMatch(
      killed.stderr,
      /^walkcut: The sound of the piped input could not be kept: ffmpeg \(sound of the pipe\): killed by SIGKILL[^\n]*out\.partial\.mp4\n$/,
    );
    assertEquals(await names(folder), ["out.partial.mp4"]);
    const done = Number(/the (\d+) frames done/.exec(killed.stderr)?.[1]);
    assert(done < 750, "it should not have gone on to the end");
    assertEquals((await packetTimes(`${folder}/out.partial.mp4`)).length, done);
    await Deno.remove(`${folder}/out.partial.mp4`);

    const twice = await underWay(async (child) => {
      child.kill("SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 20));
      child.kill("SIGTERM");
    });
    assertEquals(twice.code, 130, twice.stderr);
    assertEquals((await names(folder)).filter((name) => name.includes("sound")), []);
    assertEquals(await keepers(), []);
  }));

Deno.test("a named pipe is read as stdin is, and a shell's has no name for the output", () =>
  inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/in.mkv`, await richStream(folder, 1));
    await new Deno.Command("mkfifo", { args: [`${folder}/fifo`] }).output();
    const cat = new Deno.Command("sh", { args: ["-c", "cat in.mkv > fifo"], cwd: folder }).spawn();
    const { code, stderr } = await walkcut(folder, ["fifo", "--null-model", "-o", "out.mkv", "-q"]);
    await cat.status;
    assertEquals([code, stderr], [0, ""]);
    assertEquals((await packetTimes(`${folder}/out.mkv`)).length, 25);
    assertMatch(await describe(`${folder}/out.mkv`), /Audio: aac/);
    const script = `${commandOf(["--null-model"]).map(quoted).join(" ")} <(cat in.mkv)`;
    const shell = await new Deno.Command("bash", { args: ["-c", script], cwd: folder }).output();
    assertEquals(shell.code, 2);
    assertMatch(
      new TextDecoder().decode(shell.stderr),
      /^walkcut: This input has no name for its output: \/dev\/fd\/\d+; give one with -o\n$/,
    );
  }));
