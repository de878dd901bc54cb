import { assert, assertEquals, assertRejects } from "@std/assert";
import { NutError, nutFrameBytes, NutReader, type NutStream, NutWriter } from "../lib/ffmpeg/nut.ts";
import { locateFfmpeg } from "../lib/ffmpeg/locate.ts";

/** xorshift: fresh inputs, repeatable from the seed in a failure's message. */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const freshSeed = () => crypto.getRandomValues(new Uint32Array(1))[0]!;

function randomStream(random: () => number): NutStream {
  const formats = ["rgb24", "rgba", "gray", "gray16le", "rgb48le"] as const;
  const bases = [[1, 100], [1, 11456], [1, 90000], [1001, 30000], [1, 1000], [1, 1_000_000]] as const;
  const [num, den] = bases[Math.floor(random() * bases.length)]!;
  return {
    width: 1 + Math.floor(random() * 20),
    height: 1 + Math.floor(random() * 20),
    pixelFormat: formats[Math.floor(random() * formats.length)]!,
    timeBase: { num, den },
    ...(random() < 0.5 ? { frameRate: { num: 30000, den: 1001 } } : {}),
    ...(random() < 0.5 ? { sampleAspect: { num: 4, den: 3 } } : {}),
  };
}

function randomFrames(random: () => number, stream: NutStream, count: number) {
  let pts = Math.floor(random() * 100);
  return Array.from({ length: count }, () => {
    const data = Uint8Array.from({ length: nutFrameBytes(stream) }, () => Math.floor(random() * 256));
    const frame = { pts, data };
    pts += 1 + Math.floor(random() ** 4 * 100_000);
    return frame;
  });
}

function write(stream: NutStream, frames: { pts: number; data: Uint8Array<ArrayBuffer> }[]) {
  const writer = new NutWriter(stream);
  const parts = [writer.header()];
  for (const { pts, data } of frames) parts.push(writer.frameHeader(pts), data);
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** A stream that gives its bytes in pieces of random sizes. */
function pieces(
  bytes: Uint8Array<ArrayBuffer>,
  random: () => number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const size = 1 + Math.floor(random() * 300);
      controller.enqueue(bytes.slice(at, at += size));
    },
  });
}

async function readAll(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  const reader = await NutReader.open(stream);
  const frames = [];
  for (let frame = await reader?.read(); frame; frame = await reader?.read()) frames.push(frame);
  return { stream: reader?.stream, frames };
}

Deno.test("NutReader reads what NutWriter writes, bit for bit and tick for tick", async () => {
  const seed = freshSeed();
  const random = generator(seed);
  for (let round = 0; round < 30; round++) {
    const stream = randomStream(random);
    const frames = randomFrames(random, stream, 1 + Math.floor(random() * 6));
    const read = await readAll(pieces(write(stream, frames), random));
    assertEquals(read.stream, stream, `seed ${seed}`);
    assertEquals(read.frames, frames, `seed ${seed}`);
  }
});

Deno.test("NutReader says where a stream is cut off, at every byte", async () => {
  const seed = freshSeed();
  const random = generator(seed);
  const stream: NutStream = { width: 3, height: 2, pixelFormat: "rgb24", timeBase: { num: 1, den: 25 } };
  const whole = write(stream, randomFrames(random, stream, 2));
  const oneFrame = write(stream, randomFrames(generator(seed), stream, 1)).length;
  for (let length = 1; length < whole.length; length++) {
    try {
      const { frames } = await readAll(pieces(whole.slice(0, length), random));
      assert(frames.length < 2, `cut at ${length} of ${whole.length}`);
      // Without an error it must have been cut between packets.
      const headers = new NutWriter(stream).header().length;
      assert(length === headers || Math.abs(length - oneFrame) < 40, `silent at ${length}, seed ${seed}`);
    } catch (error) {
      assert(error instanceof NutError && error.truncated, `cut at ${length}: ${error}`);
    }
  }
});

Deno.test("NutReader survives flipped bits: right frames, or a NutError", async () => {
  const seed = freshSeed();
  const random = generator(seed);
  const stream: NutStream = { width: 4, height: 4, pixelFormat: "gray", timeBase: { num: 1, den: 1000 } };
  const bytes = write(stream, randomFrames(random, stream, 2));
  let caught = 0;
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 1 << Math.floor(random() * 8);
    try {
      await readAll(pieces(damaged, random));
    } catch (error) {
      assert(error instanceof NutError, `seed ${seed}, byte ${at}: ${error}`);
      caught++;
    }
  }
  assert(caught > bytes.length / 2, `only ${caught} of ${bytes.length} were noticed`);
});

Deno.test("NutReader refuses a size before it reserves memory for it", async () => {
  const writer = new NutWriter({ width: 5, height: 7, pixelFormat: "rgb24", timeBase: { num: 1, den: 25 } });
  const header = writer.header();
  const at = header.findIndex((byte, i) => byte === 5 && header[i + 1] === 7);
  assert(at > 0);
  const { nutCrc } = await import("../lib/ffmpeg/nut.ts");
  for (const [width, height] of [[0, 7], [5, 0], [127, 127]] as const) {
    const claim = header.slice();
    claim.set([width, height], at);
    // The checksum of the stream's packet, four bytes after aspect (2) and colour space (1).
    const sum = at + 5;
    const start = claim.findLastIndex((_, i) => i < at && claim[i] === 0x4e && claim[i + 1] === 0x53) + 9;
    const crc = nutCrc(claim.subarray(start, sum));
    claim.set([crc >>> 24, crc >>> 16 & 255, crc >>> 8 & 255, crc & 255], sum);
    if (width === 127) {
      assertEquals((await readAll(new Blob([claim]).stream())).stream?.width, 127);
    } else {
      await assertRejects(() => readAll(new Blob([claim]).stream()), NutError, "frame size is out of range");
    }
  }
});

Deno.test("NutReader and ffmpeg agree on the frames of a file with a variable rate", async () => {
  const ffmpeg = await locateFfmpeg();
  const filter = "testsrc2=s=30x22:r=25:d=1,setpts='PTS+floor(N*N/7)'";
  const args = ["-v", "error", "-f", "lavfi", "-i", filter, "-vframes", "12", "-c:v", "rawvideo"];
  const clock = ["-vsync", "passthrough", "-pix_fmt", "rgb24"];
  const run = async (more: string[]) => {
    const { stdout } = await new Deno.Command(ffmpeg.path, { args: [...args, ...clock, ...more] }).output();
    return stdout;
  };
  const { frames, stream } = await readAll(new Blob([await run(["-f", "nut", "-"])]).stream());
  const raw = await run(["-f", "rawvideo", "-"]);
  assertEquals(new Uint8Array(frames.flatMap(({ data }) => [...data])), raw);
  assertEquals(stream?.width, 30);
  const ticks = stream!.timeBase.den / stream!.timeBase.num / 25;
  assertEquals(frames.map(({ pts }) => pts / ticks), frames.map((_, n) => n + Math.floor(n * n / 7)));

  // And back: ffmpeg reads our stream, and finds the same times and bytes in it.
  const child = new Deno.Command(ffmpeg.path, {
    args: ["-v", "error", "-f", "nut", "-i", "-", "-c", "copy", "-copyts", "-f", "framemd5", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(write(stream!, frames)).then(() => writer.close());
  const lines = new TextDecoder().decode((await child.output()).stdout).split("\n");
  await written;
  const clockLine = /#tb 0: (\d+)\/(\d+)/.exec(lines.join("\n"))!;
  const scale = Number(clockLine[2]) / Number(clockLine[1]) / (stream!.timeBase.den / stream!.timeBase.num);
  const times = lines.filter((line) => /^0,/.test(line)).map((line) => Number(line.split(",")[2]) / scale);
  assertEquals(times, frames.map(({ pts }) => pts));
});
