/**
 * Results out: encoded video, streams on stdout, label maps, pictures, JSON lines.
 *
 * A sink takes one item a frame and applies back pressure by the promise that `write` returns. The item's
 * arrays belong to the sink from then on: do not change them. Then `close()` finishes the output and gives
 * it its name, or `abort()` ends it early, leaving what was done as `NAME.partial.EXT`, playable where the
 * format allows.
 *
 * ```ts
 * import { openLabelSink } from "./mod.ts";
 *
 * const [width, height] = [4, 2];
 * const info = {
 *   ...{ width, height, timeBase: { num: 1, den: 25 } },
 *   ...{ still: false, audioStreams: 0, subtitleStreams: 0 },
 * };
 * const sink = await openLabelSink("labels.npy", { info });
 * for (let pts = 0; pts < 3; pts++) {
 *   await sink.write({ width, height, pts, labels: new Uint16Array(width * height).fill(1 + pts) });
 * }
 * await sink.close();
 * ```
 *
 * | function | takes | writes |
 * |---|---|---|
 * | {@linkcode openPictureSink}`(output, options)` | {@linkcode Picture} | by name: mp4, mkv, mov, webm, gif …; `%06d.png`/`.jpg` patterns; one `.png`/`.jpg` |
 * | {@linkcode openStdoutSink}`(format, options)` | {@linkcode Picture} (`y4m`, `nut`, `rgb24`) or {@linkcode LabelMap} (`gray8`, `gray16le`) | stdout |
 * | {@linkcode openLabelSink}`(output, options)` | {@linkcode LabelMap} | `.mkv` (FFV1 gray16le), `%06d.png`, `.png`, `.npy` |
 * | {@linkcode openRleSink}`(output, options)` | `SegmentedFrame` | COCO compressed RLE, one JSON line a frame |
 * | {@linkcode openStatsSink}`(output, options)` | `SegmentedFrame` | statistics, one JSON line a frame |
 *
 * Every `open…` checks first and writes nothing when it throws: an existing output without `overwrite`, a
 * missing folder, an unknown container or codec are {@linkcode UsageError}s. {@linkcode ClosedPipe} is thrown
 * by `write` when the reader of stdout has gone: that ends a run quietly.
 *
 * @module
 */
export type { LabelMap, Picture, Sink } from "./sink.ts";
export { ClosedPipe } from "./sink.ts";
export { claimOutput } from "./claim.ts";
export type { ClaimOptions, OutputClaim } from "./claim.ts";
export { openPictureSink, openStdoutSink } from "./picture.ts";
export type { PictureSinkOptions, StdoutFormat } from "./picture.ts";
export { openLabelSink } from "./labels.ts";
export type { LabelSinkOptions } from "./labels.ts";
export { openRleSink, openStatsSink } from "./lines.ts";
export type { LineSinkOptions } from "./lines.ts";
