/**
 * Colours of segments: one for each id, given when the id first appears and never
 * changed, chosen far from the colours of the segments that it then touches.
 *
 * Candidates lie on rings of OKLCH at hues a golden angle apart; distances are
 * Euclidean in OKLab (B. Ottosson, 2020), where they match what an eye tells apart.
 *
 * @module
 */

/** Ids are 16-bit. */
const IDS = 1 << 16;
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** Hues tried on each ring for a new id. */
const HUES = 16;
/** Lightness and chroma of the rings; the chroma fits sRGB at most hues and is reduced at the others. */
const RINGS: readonly (readonly [lightness: number, chroma: number])[] = [[0.72, 0.17], [0.6, 0.18], [
  0.84,
  0.15,
]];
/** Chroma below which a colour looks grey. */
const LEAST_CHROMA = 0.11;
/** How much a colour elsewhere in the frame counts beside a neighbour's. */
const FAR_WEIGHT = 0.5;

interface Candidate {
  readonly lab: readonly [number, number, number];
  readonly rgb: number;
}

/** Gives each segment id its colour. */
export class Palette {
  /** Packed `0xBBGGRR` of each id; ids without a colour yet have {@linkcode assigned} 0. */
  readonly colours: Uint32Array<ArrayBuffer> = new Uint32Array(IDS);
  readonly #assigned = new Uint8Array(IDS);
  readonly #lab = new Float32Array(IDS * 3);

  /** True once the id has its colour. */
  has(id: number): boolean {
    return this.#assigned[id] === 1;
  }

  /** The colour of an id as `[red, green, blue]`, 0 … 255; black for an id never seen. */
  rgb(id: number): [number, number, number] {
    const packed = this.colours[id] ?? 0;
    return [packed & 255, packed >> 8 & 255, packed >> 16 & 255];
  }

  /**
   * Gives a colour to the ids of a label map that have none yet.
   *
   * @param labels segment ids, `[height, width]` row-major.
   * @param ids the ids that the map shows.
   */
  meet(labels: Uint16Array<ArrayBuffer>, width: number, ids: readonly number[]): void {
    const fresh = ids.filter((id) => !this.has(id));
    if (fresh.length === 0) return;
    const borders = sharedBorders(labels, width, new Set(fresh));
    // The longest borders first: what touches most gets the freest choice.
    const length = (id: number) => [...borders.get(id)?.values() ?? []].reduce((sum, v) => sum + v, 0);
    fresh.sort((a, b) => length(b) - length(a) || a - b);
    for (const id of fresh) this.#choose(id, borders.get(id) ?? new Map(), ids);
  }

  #choose(id: number, neighbours: ReadonlyMap<number, number>, ids: readonly number[]): void {
    let best: Candidate | undefined;
    let farthest = -Infinity;
    const others = ids.filter((other) => other !== id && this.has(other));
    for (const candidate of candidatesFor(id)) {
      let distance = Infinity;
      for (const other of others) {
        const d = this.#distance(candidate, other);
        distance = Math.min(distance, neighbours.has(other) ? d : d / FAR_WEIGHT);
      }
      if (distance > farthest) [best, farthest] = [candidate, distance];
    }
    if (!best) return;
    this.#assigned[id] = 1;
    this.colours[id] = best.rgb;
    this.#lab.set(best.lab, id * 3);
  }

  #distance(candidate: Candidate, other: number): number {
    const [l, a, b] = candidate.lab;
    return Math.hypot(
      l - (this.#lab[other * 3] ?? 0),
      a - (this.#lab[other * 3 + 1] ?? 0),
      b - (this.#lab[other * 3 + 2] ?? 0),
    );
  }
}

/** Candidates of an id: its own golden-angle hue first, the rest of the rings after it. */
function candidatesFor(id: number): Candidate[] {
  const list: Candidate[] = [];
  RINGS.forEach(([lightness, chroma], ring) => {
    for (let i = 0; i < HUES; i++) {
      const hue = GOLDEN_ANGLE * id + 2 * Math.PI * (i + ring / RINGS.length) / HUES;
      const candidate = colourAt(lightness, chroma, hue);
      if (Math.hypot(candidate.lab[1], candidate.lab[2]) >= LEAST_CHROMA) list.push(candidate);
    }
  });
  return list;
}

/** The colour at an OKLCH position, its chroma reduced until it fits sRGB. */
function colourAt(lightness: number, chroma: number, hue: number): Candidate {
  for (let c = chroma;; c -= 0.01) {
    const lab = [lightness, c * Math.cos(hue), c * Math.sin(hue)] as const;
    const linear = linearRgb(...lab);
    if (c <= 0 || linear.every((v) => v >= -1e-4 && v <= 1.0001)) return { lab, rgb: pack(linear) };
  }
}

function linearRgb(lightness: number, a: number, b: number): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function pack(linear: readonly [number, number, number]): number {
  const [r, g, b] = linear.map((value) => {
    const v = Math.min(1, Math.max(0, value));
    return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
  }) as [number, number, number];
  return (r | g << 8 | b << 16) >>> 0;
}

/** For each id in `wanted`, the ids that it touches and along how many pixels. */
function sharedBorders(
  labels: Uint16Array<ArrayBuffer>,
  width: number,
  wanted: ReadonlySet<number>,
): Map<number, Map<number, number>> {
  const borders = new Map<number, Map<number, number>>();
  const count = (id: number, other: number) => {
    if (!wanted.has(id)) return;
    let row = borders.get(id);
    if (!row) borders.set(id, row = new Map());
    row.set(other, (row.get(other) ?? 0) + 1);
  };
  const touch = (p: number, q: number) => {
    const a = labels[p] ?? 0, b = labels[q] ?? 0;
    if (a === b) return;
    count(a, b);
    count(b, a);
  };
  for (let i = 0, x = 0; i < labels.length; i++) {
    if (x + 1 < width) touch(i, i + 1);
    if (i + width < labels.length) touch(i, i + width);
    if (++x === width) x = 0;
  }
  return borders;
}
