/**
 * Sample scenes with exact ground truth: textured objects that move over a
 * textured background under drifting light; one passes in front of another, one
 * enters, one leaves, and half-way the scene changes altogether.
 *
 * A pixel's truth is the object whose shape covers its centre. The same options
 * give the same bytes on every machine.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { uniform } from "../random.ts";
import type { Frame } from "../source/frame.ts";
import {
  colourDistance,
  COLOURS,
  cosine,
  direction,
  paint,
  type Pattern,
  type Rgb,
  sine,
  smooth,
} from "./texture.ts";

/** How hard a scene is. */
export type Grade = "easy" | "middle" | "hard";

/** Names of the grades, from easy to hard. */
export const GRADES: readonly Grade[] = ["easy", "middle", "hard"];

/** Settings of {@linkcode scene}. */
export interface SceneOptions {
  /** Picks layout, colours, textures and motion. Default 1. */
  readonly seed?: number;
  /** Pixels, at least 64. Default 640. */
  readonly width?: number;
  /** Pixels, at least 64. Default 360. */
  readonly height?: number;
  /** Frames a second. Default 30. */
  readonly fps?: number;
  /** Length. Default 5. */
  readonly seconds?: number;
  /** Default `"middle"`. */
  readonly grade?: Grade;
}

/** One frame of a scene and what it shows. */
export interface SceneFrame {
  /** `pts` counts frames: the time base is 1 / fps. */
  readonly frame: Frame;
  /** Id of what each pixel shows, `[height, width]` row-major, ≥ 1; never used twice for two things. */
  readonly truth: Uint16Array<ArrayBuffer>;
  /** 0 before the scene cut, 1 after it. */
  readonly scene: number;
}

/** What a grade sets. */
interface Difficulty {
  /** Objects in the first scene (≥ 4: one each to enter, leave, occlude, be occluded) and in the second. */
  readonly objects: readonly [number, number];
  /** Regions of the background, each with an id of its own. */
  readonly regions: number;
  /** Least distance between the colours of a scene. */
  readonly colourDistance: number;
  /** Brightness of textures. */
  readonly contrast: number;
  /** Largest relative change of the light. */
  readonly light: number;
  /** Noise of the camera: standard deviation in levels of 8 bits. */
  readonly noise: number;
  /** Share of the occluded object's diameter that gets covered. */
  readonly overlap: number;
  /** Movement of the objects that stay, in radii. */
  readonly wobble: number;
  /** Distance that the camera pans, in widths of the frame. */
  readonly pan: number;
}

const DIFFICULTIES: Readonly<Record<Grade, Difficulty>> = {
  easy: {
    objects: [4, 3],
    regions: 1,
    colourDistance: 190,
    contrast: 14,
    light: 0.08,
    noise: 1,
    overlap: 0.45,
    wobble: 0.35,
    pan: 0,
  },
  middle: {
    objects: [5, 4],
    regions: 2,
    colourDistance: 150,
    contrast: 20,
    light: 0.14,
    noise: 2.5,
    overlap: 0.55,
    wobble: 0.45,
    pan: 0,
  },
  hard: {
    objects: [6, 5],
    regions: 2,
    colourDistance: 105,
    contrast: 28,
    light: 0.22,
    noise: 5,
    overlap: 0.65,
    wobble: 0.6,
    pan: 0.08,
  },
};

const PATTERNS: readonly Pattern[] = ["noise", "stripes", "checks", "dots"];

/** What an object does in its scene. */
type Role = "stay" | "enter" | "leave" | "occlude";

/** A rigid textured object. */
interface SceneObject {
  readonly id: number;
  readonly role: Role;
  /** Side of the square sprite, in pixels. */
  readonly size: number;
  /** `[size, size, 3]`. */
  readonly colours: Uint8ClampedArray<ArrayBuffer>;
  /** Distance to the outline, in pixels, inside positive; `[size, size]`. */
  readonly inside: Float32Array<ArrayBuffer>;
  readonly radius: number;
  /** Home of the centre, in pixels. */
  readonly home: readonly [number, number];
  /** Where `enter`, `leave` start or end, and `occlude` turns back. */
  readonly away: readonly [number, number];
  /** Phase of the wobble and its two speeds, in turns and turns a scene. */
  readonly phase: number;
  readonly speed: readonly [number, number];
  readonly wobble: number;
  /** Rotation over a scene, in turns. */
  readonly spin: number;
}

/** All that one of the two scenes needs to be drawn at any time. */
interface Stage {
  readonly objects: readonly SceneObject[];
  /** `[height, width + margin, 3]`. */
  readonly background: Uint8ClampedArray<ArrayBuffer>;
  /** Ids of the background, `[height, width + margin]`. */
  readonly regions: Uint16Array<ArrayBuffer>;
  /** Columns that the pan needs beyond the frame's. */
  readonly margin: number;
  readonly lightPhase: number;
}

/**
 * The frames of a sample scene.
 *
 * @throws {UsageError} for a size, a rate or a length that cannot be drawn.
 */
export function* scene(options: SceneOptions = {}): Generator<SceneFrame, void, void> {
  const { seed = 1, width = 640, height = 360, fps = 30, seconds = 5, grade = "middle" } = options;
  check(width, height, fps, seconds, grade);
  const difficulty = DIFFICULTIES[grade];
  const frames = sceneLength(options);
  const cut = Math.round(frames * 0.55);
  const random = uniform(seed);
  const noise = noiseTable(difficulty.noise, random);
  let nextId = 1;
  for (const [index, first, last] of [[0, 0, cut], [1, cut, frames]] as const) {
    const stage = build(index, nextId, width, height, difficulty, random);
    nextId += difficulty.regions + stage.objects.length;
    for (let i = first; i < last; i++) {
      const time = (i - first) / Math.max(1, last - first - 1);
      const { data, truth } = draw(stage, time, width, height, difficulty);
      const drift = difficulty.light * sine(stage.lightPhase + 0.8 * time);
      expose(data, drift, noise, Math.floor(random() * noise.length));
      yield {
        frame: { index: i, pts: i, width, height, data: new Uint8Array(data.buffer) },
        truth,
        scene: index,
      };
    }
  }
}

/** Number of frames of a scene. */
export function sceneLength({ fps = 30, seconds = 5 }: SceneOptions = {}): number {
  return Math.max(2, Math.round(fps * seconds));
}

function check(width: number, height: number, fps: number, seconds: number, grade: Grade): void {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 64 || height < 64) {
    throw new UsageError({ what: "A scene is at least 64 × 64 pixels", found: `${width}x${height}` });
  }
  if (!(fps > 0) || !Number.isFinite(fps)) {
    throw new UsageError({ what: "A scene's frame rate is positive", found: fps });
  }
  if (!(seconds > 0) || !Number.isFinite(seconds)) {
    throw new UsageError({ what: "A scene's length is positive", found: seconds });
  }
  if (!Object.hasOwn(DIFFICULTIES, grade)) {
    throw new UsageError({ what: "No such grade", found: grade, advice: `take ${GRADES.join(", ")}` });
  }
}

/** Lays a scene out: three columns and two rows of places, each with at most one object at home. */
function build(
  index: number,
  firstId: number,
  width: number,
  height: number,
  difficulty: Difficulty,
  random: () => number,
): Stage {
  const { regions, contrast } = difficulty;
  const count = difficulty.objects[index]!;
  const colours = pickColours(regions + count, difficulty.colourDistance, random);
  const margin = Math.ceil(difficulty.pan * width);
  const wide = width + margin;
  const background = new Uint8ClampedArray(wide * height * 3);
  const ids = new Uint16Array(wide * height);
  const rim = valueNoise1(wide, width / 3, random);
  const horizon = height * (0.42 + 0.16 * random());
  for (let r = 0; r < regions; r++) {
    const surface = paint(wide, height, {
      colour: colours[r]!,
      pattern: r === 0 ? "noise" : PATTERNS[Math.floor(random() * PATTERNS.length)]!,
      period: (r === 0 ? 14 : 7) + 4 * random(),
      contrast: contrast * 0.7,
      direction: direction(random()),
    }, random);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < wide; x++) {
        if (r > 0 && y < horizon + height * 0.07 * rim[x]!) continue;
        const i = y * wide + x;
        ids[i] = firstId + r;
        for (let c = 0; c < 3; c++) background[3 * i + c] = surface[3 * i + c]!;
      }
    }
  }
  const [flipX, flipY] = [random() < 0.5, random() < 0.5];
  const place = ([column, row]: readonly [number, number]): [number, number] => {
    const x = (column + 0.5) / 3 * width;
    const y = (row + 0.5) / 2 * height;
    return [flipX ? width - 1 - x : x, flipY ? height - 1 - y : y];
  };
  const outside = flipX ? -1 : 1;
  const roles: Role[] = index === 0
    ? ["stay", "occlude", "enter", "leave", "stay", "stay"]
    : ["stay", "stay", "enter", "stay", "stay", "stay"];
  const homes = [[1, 1], [2, 1], [2, 0], [0, 1], [0, 0], [1, 0]] as const;
  // 3 % of the frame is a circle of radius √(0.03/π · width · height); the places allow more.
  const least = Math.sqrt(0.034 / Math.PI * width * height);
  const most = Math.max(least, Math.min(width / 3, height / 2) * 0.42);
  const objects: SceneObject[] = [];
  for (let o = 0; o < count; o++) {
    const role = roles[o]!;
    const home = place(homes[o]!);
    const radius = least + (most - least) * random();
    const beyond = outside * (width / 6 + radius * 1.45);
    const occluded = objects[0];
    const away: [number, number] = role === "enter"
      ? [home[0] + beyond, home[1]]
      : role === "leave"
      ? [home[0] - beyond, home[1]]
      : role === "occlude" && occluded
      ? [occluded.home[0] + outside * (radius + occluded.radius * (1 - 2 * difficulty.overlap)), home[1]]
      : home;
    objects.push({
      ...sprite(radius, colours[regions + o]!, contrast, random),
      id: firstId + regions + o,
      role,
      radius,
      home,
      away,
      phase: random(),
      speed: [0.5 + 0.5 * random(), 0.4 + 0.5 * random()],
      wobble: difficulty.wobble * radius * (role === "stay" && o > 0 ? 1 : 0.25),
      spin: (random() - 0.5) * 0.4,
    });
  }
  // The occluder is drawn last, over everything.
  objects.sort((a, b) => Number(a.role === "occlude") - Number(b.role === "occlude"));
  return { objects, background, regions: ids, margin, lightPhase: random() };
}

/** A smooth random line of `length` values in [−1, 1]. */
function valueNoise1(length: number, period: number, random: () => number): Float32Array<ArrayBuffer> {
  const lattice = Array.from({ length: Math.ceil(length / period) + 2 }, () => 2 * random() - 1);
  return Float32Array.from({ length }, (_, x) => {
    const i = Math.floor(x / period);
    const f = smooth(x / period - i);
    return lattice[i]! * (1 - f) + lattice[i + 1]! * f;
  });
}

/** Colours that are at least `distance` apart, or as far apart as the palette allows. */
function pickColours(count: number, distance: number, random: () => number): Rgb[] {
  const free = [...COLOURS];
  for (let i = free.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [free[i], free[j]] = [free[j]!, free[i]!];
  }
  const picked: Rgb[] = [free.shift()!];
  while (picked.length < count) {
    const gaps = free.map((c) => Math.min(...picked.map((p) => colourDistance(c, p))));
    const found = gaps.findIndex((gap) => gap >= distance);
    const index = found >= 0 ? found : gaps.indexOf(Math.max(...gaps));
    picked.push(free.splice(index, 1)[0]!);
  }
  return picked;
}

/** Draws an object once; frames only rotate and shift it. */
function sprite(
  radius: number,
  colour: Rgb,
  contrast: number,
  random: () => number,
): Pick<SceneObject, "size" | "colours" | "inside"> {
  const size = 2 * Math.ceil(radius * 1.2) + 4;
  const centre = (size - 1) / 2;
  const shape = Math.floor(random() * 3);
  const lobes = 0.16 + 0.06 * random();
  const inside = new Float32Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const u = (x - centre) / radius;
      const v = (y - centre) / radius;
      const r2 = u * u + v * v;
      const r = Math.sqrt(r2) + 1e-9;
      // Each outline encloses about the area of the unit circle; `level` falls by 1 a radius across it.
      const level = shape === 0
        ? 1 - Math.sqrt(u * u / 1.3225 + v * v * 1.3225)
        : shape === 1
        ? 1 - 1.12 * Math.sqrt(Math.sqrt(u * u * u * u + v * v * v * v))
        : 1 + lobes * (u * u * u - 3 * u * v * v) / (r2 * r) - r;
      inside[y * size + x] = level * radius;
    }
  }
  const colours = paint(size, size, {
    colour,
    pattern: PATTERNS[Math.floor(random() * PATTERNS.length)]!,
    period: 6 + 4 * random(),
    contrast,
    direction: direction(random()),
  }, random);
  return { size, colours, inside };
}

/** Centre of an object at `time` in [0, 1] of its scene. */
function centreAt(object: SceneObject, time: number): [number, number] {
  const { role, home, away, wobble, phase, speed } = object;
  const share = role === "enter"
    ? 1 - smooth((time - 0.1) / 0.4)
    : role === "leave"
    ? smooth((time - 0.45) / 0.4)
    : role === "occlude"
    ? smooth((time - 0.15) / 0.3) - smooth((time - 0.6) / 0.3)
    : 0;
  return [
    home[0] + (away[0] - home[0]) * share + wobble * sine(phase + speed[0] * time),
    home[1] + (away[1] - home[1]) * share + 0.6 * wobble * cosine(phase + speed[1] * time),
  ];
}

/** One frame before light and noise, and its truth. */
function draw(stage: Stage, time: number, width: number, height: number, difficulty: Difficulty) {
  const data = new Uint8ClampedArray(width * height * 3);
  const truth = new Uint16Array(width * height);
  const wide = width + stage.margin;
  const shift = Math.min(stage.margin, Math.round(difficulty.pan * width * smooth(time)));
  for (let y = 0; y < height; y++) {
    const from = y * wide + shift;
    data.set(stage.background.subarray(3 * from, 3 * (from + width)), 3 * y * width);
    truth.set(stage.regions.subarray(from, from + width), y * width);
  }
  for (const object of stage.objects) stamp(object, time, data, truth, width, height);
  return { data, truth };
}

/** Lays an object over a frame, rotated and shifted by parts of a pixel. */
function stamp(
  object: SceneObject,
  time: number,
  data: Uint8ClampedArray<ArrayBuffer>,
  truth: Uint16Array<ArrayBuffer>,
  width: number,
  height: number,
): void {
  const { size, colours, inside, id } = object;
  const [cx, cy] = centreAt(object, time);
  const [ux, uy] = direction(object.spin * time);
  const middle = (size - 1) / 2;
  const reach = size / 2;
  const x1 = Math.min(width - 1, Math.ceil(cx + reach));
  const y1 = Math.min(height - 1, Math.ceil(cy + reach));
  const x0 = Math.max(0, Math.floor(cx - reach));
  const row = 3 * size;
  for (let y = Math.max(0, Math.floor(cy - reach)); y <= y1; y++) {
    const dy = y - cy;
    for (let x = x0; x <= x1; x++) {
      const dx = x - cx;
      const sx = dx * ux + dy * uy + middle;
      const sy = dy * ux - dx * uy + middle;
      const ix = Math.floor(sx);
      const iy = Math.floor(sy);
      if (ix < 0 || iy < 0 || ix >= size - 1 || iy >= size - 1) continue;
      const fx = sx - ix;
      const fy = sy - iy;
      const at = iy * size + ix;
      const [w00, w10, w01, w11] = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy];
      const distance = inside[at]! * w00 + inside[at + 1]! * w10 + inside[at + size]! * w01 +
        inside[at + size + 1]! * w11;
      if (distance <= -0.5) continue;
      const alpha = distance >= 0.5 ? 1 : distance + 0.5;
      const pixel = y * width + x;
      if (distance >= 0) truth[pixel] = id;
      for (let c = 0, p = 3 * pixel, q = 3 * at; c < 3; c++, p++, q++) {
        const value = colours[q]! * w00 + colours[q + 3]! * w10 + colours[q + row]! * w01 +
          colours[q + row + 3]! * w11;
        data[p] = alpha * value + (1 - alpha) * data[p]!;
      }
    }
  }
}

/** A table of noise; the sum of four uniform numbers is close enough to a normal one. */
function noiseTable(deviation: number, random: () => number): Int8Array<ArrayBuffer> {
  // The variance of a sum of four uniform numbers is 1/3.
  return Int8Array.from(
    { length: 65_521 },
    () => Math.round((random() + random() + random() + random() - 2) * Math.sqrt(3) * deviation),
  );
}

/** Applies the light's drift (brighter is also a little warmer) and the camera's noise. */
function expose(
  data: Uint8ClampedArray<ArrayBuffer>,
  drift: number,
  noise: Int8Array<ArrayBuffer>,
  start: number,
): void {
  const gains = [1 + 1.15 * drift, 1 + drift, 1 + 0.8 * drift];
  const tables = gains.map((gain) => Float32Array.from({ length: 256 }, (_, v) => v * gain));
  const [red, green, blue] = tables as [Float32Array, Float32Array, Float32Array];
  let n = start;
  for (let i = 0; i < data.length; i += 3) {
    // A step that shares no factor with the table's length visits all of it before it repeats.
    n += 3;
    if (n >= noise.length - 2) n -= noise.length - 2;
    data[i] = red[data[i]!]! + noise[n]!;
    data[i + 1] = green[data[i + 1]!]! + noise[n + 1]!;
    data[i + 2] = blue[data[i + 2]!]! + noise[n + 2]!;
  }
}
