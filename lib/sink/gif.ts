/**
 * What a GIF needs beyond what ffmpeg writes: the length of its last frame.
 *
 * @module
 */
import type { VideoInfo } from "../source/frame.ts";
import { type FrameTimes, LONGEST_LAST_FRAME } from "./nut_sink.ts";

/** Gives the last frame of a GIF the length that it has in the source; GIF's encoder cannot know it. */
export function lastGifDelay(path: string, info: VideoInfo): (times: FrameTimes) => Promise<void> {
  return async ({ last }) => {
    const seconds = info.duration! - last * info.timeBase.num / info.timeBase.den;
    const hundredths = Math.round(seconds * 100);
    if (hundredths < 1 || seconds > LONGEST_LAST_FRAME) return;
    await patchLastDelay(path, hundredths);
  };
}

/**
 * Sets the delay of the last picture of a GIF file.
 *
 * Walks over the file's blocks, so that a delay is never mistaken for picture data.
 */
async function patchLastDelay(path: string, hundredths: number): Promise<void> {
  const data = await Deno.readFile(path);
  const at = (i: number) => data[i] ?? 0;
  const skipBlocks = (i: number) => {
    while (i < data.length && at(i) !== 0) i += at(i) + 1;
    return i + 1;
  };
  const table = (flags: number) => flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
  let last = -1;
  let i = 13 + table(at(10));
  while (i < data.length && at(i) !== 0x3b) {
    if (at(i) === 0x21) {
      if (at(i + 1) === 0xf9) last = i + 4;
      i = skipBlocks(i + 2);
    } else if (at(i) === 0x2c) {
      i = skipBlocks(i + 10 + table(at(i + 9)) + 1);
    } else return; // Not a GIF that we understand: its last delay stays.
  }
  if (last < 0) return;
  const file = await Deno.open(path, { write: true });
  try {
    await file.seek(last, Deno.SeekMode.Start);
    await file.write(Uint8Array.of(hundredths & 255, hundredths >> 8 & 255));
  } finally {
    file.close();
  }
}
