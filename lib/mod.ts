/**
 * walkcut as a library: the segmenter, and the sources and sinks that the command
 * line uses.
 *
 * ```ts
 * import { openLabelSink, openVideo, Segmenter } from "./mod.ts";
 *
 * // Two raw frames: grey at the left, white at the right.
 * const size = { width: 64, height: 48 };
 * const row = new Uint8Array(3 * size.width).fill(90, 0, 96).fill(255, 96);
 * const stdin = new Blob(Array.from({ length: 2 * size.height }, () => row)).stream();
 * const source = await openVideo("-", { stdin, inputFormat: "rgb24", size });
 * const sink = await openLabelSink("ids.npy", { info: source.info });
 * const segmenter = await Segmenter.create({ device: "cpu", grid: 32 });
 * for await (const { frame, labels } of segmenter.stream(source.frames())) {
 *   await sink.write({ ...size, pts: frame.pts, labels: labels.slice() });
 * }
 * await Promise.all([sink.close(), segmenter.close(), source.close()]);
 * ```
 *
 * @module
 */
export * from "./errors.ts";
export * from "./segmenter.ts";
export * from "./sink/mod.ts";
export * from "./source/mod.ts";
export { type Drawable, Renderer, type RenderOptions, type View, views } from "./render/render.ts";
