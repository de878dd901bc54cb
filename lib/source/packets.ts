/**
 * The times of a video's frames, found without decoding them.
 *
 * @module
 */
import type { Ffmpeg } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { UsageError } from "../errors.ts";

/**
 * Lists the presentation times of all frames of the first video stream, in seconds from the start of the
 * file, in order.
 *
 * @param inputArgs ffmpeg's arguments up to and with `-i`.
 * @param name Name for messages.
 */
export async function packetTimes(
  ffmpeg: Ffmpeg,
  inputArgs: readonly string[],
  name: string,
): Promise<number[]> {
  const args = [...inputArgs, "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "pipe:1"];
  const process = FfmpegProcess.spawn(ffmpeg, args, { role: "index", stdout: "piped" });
  const times: number[] = [];
  try {
    let scale = NaN;
    let rest = "";
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const clock = /^#tb 0: (\d+)\/(\d+)/.exec(line);
        // stream, dts, pts, duration, size, checksum
        const packet = /^0, *-?\d+, *(-?\d+),/.exec(line);
        if (clock) scale = Number(clock[1]) / Number(clock[2]);
        if (packet) times.push(Number(packet[1]) * scale);
      }
    }
  } finally {
    await process.kill();
  }
  if (times.length === 0) {
    throw new UsageError({
      what: "The frames of the input cannot be listed",
      found: `${name} (${process.lastError})`,
    });
  }
  return times.sort((a, b) => a - b);
}
