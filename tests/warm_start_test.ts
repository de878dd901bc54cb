import { assert, assertEquals } from "@std/assert";
import { warmAgainstCold } from "../bench/stream/warm_start.ts";
import { GRADES, scene } from "../lib/eval/scene.ts";
import type { Frame } from "../lib/source/frame.ts";
import { openVideo } from "../lib/source/mod.ts";
import { freshSeed } from "./reference/graphs.ts";

const FRAMES = 8;

/** A clip's first frames; nothing where the clips are missing. */
async function framesOf(clip: string): Promise<Frame[]> {
  const path = new URL(`../../shared/clips/${clip}`, import.meta.url).pathname;
  try {
    await Deno.stat(path);
  } catch {
    console.log(`Skipping ${clip}: ../shared/clips is missing`);
    return [];
  }
  const source = await openVideo(path, { frames: FRAMES });
  const frames = await Array.fromAsync(source.frames());
  await source.close();
  return frames;
}

async function check(shown: readonly Frame[], message: string): Promise<void> {
  const frames = await warmAgainstCold(shown);
  assertEquals(frames.length, FRAMES - 1, message);
  let [warm, cold] = [0, 0];
  frames.forEach((frame, i) => {
    assert(frame.agreement >= 0.95, `${message}, frame ${i + 1}: agreement ${frame.agreement}`);
    warm += frame.warm;
    cold += frame.cold;
  });
  assert(2 * warm < cold, `${message}: ${warm} products warm, ${cold} cold`);
}

Deno.test("a frame of a scene cut from the last one's basis comes out as one cut from nothing with the same history", async () => {
  const grade = GRADES[freshSeed() % GRADES.length]!;
  const seed = freshSeed() % 100_000;
  const shown = Array.from(scene({ grade, seed, seconds: 1 }).take(FRAMES), ({ frame }) => frame);
  await check(shown, `${grade} scene, seed ${seed}`);
});

Deno.test("a frame of a clip cut from the last one's basis comes out as one cut from nothing with the same history", async () => {
  // Not from anywhere: where two regions just touch the bound of being one, a rounding decides.
  for (const clip of ["walk.mkv", "person-bicycle-car-detection.gif"]) {
    const shown = await framesOf(clip);
    if (shown.length > 0) await check(shown, clip);
  }
});
