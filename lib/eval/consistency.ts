/**
 * Video consistency (VSPW, Miao et al. 2021), over windows of some frames.
 *
 * @module
 */

/** Windows of video consistency, in frames. */
const WINDOWS = [8, 16] as const;

/** Video consistency: share of the pixels with a constant reference whose label is constant too. */
export class Consistency {
  readonly #labelRun: Uint8Array<ArrayBuffer>;
  readonly #referenceRun: Uint8Array<ArrayBuffer>;
  readonly #sums = WINDOWS.map(() => ({ sum: 0, windows: 0 }));
  #frames = 0;

  constructor(pixels: number) {
    this.#labelRun = new Uint8Array(pixels);
    this.#referenceRun = new Uint8Array(pixels);
  }

  /** Takes in whether label and reference of a pixel are those of the last frame. */
  add(sameLabel: (pixel: number) => boolean, sameReference: (pixel: number) => boolean): void {
    const [labelRun, referenceRun] = [this.#labelRun, this.#referenceRun];
    const held = WINDOWS.map(() => [0, 0] as [number, number]);
    const first = this.#frames++ === 0;
    for (let p = 0; p < labelRun.length; p++) {
      labelRun[p] = first || !sameLabel(p) ? 1 : Math.min(255, labelRun[p]! + 1);
      referenceRun[p] = first || !sameReference(p) ? 1 : Math.min(255, referenceRun[p]! + 1);
      for (let w = 0; w < WINDOWS.length; w++) {
        if (referenceRun[p]! < WINDOWS[w]!) continue;
        held[w]![0]++;
        if (labelRun[p]! >= WINDOWS[w]!) held[w]![1]++;
      }
    }
    held.forEach(([reference, both], w) => {
      if (this.#frames < WINDOWS[w]! || reference === 0) return;
      this.#sums[w]!.sum += both / reference;
      this.#sums[w]!.windows++;
    });
  }

  /** Mean over the windows, by length of window. */
  results(): number[] {
    return this.#sums.map(({ sum, windows }) => sum / windows);
  }
}
