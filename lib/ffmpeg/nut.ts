/**
 * NUT, the container between this program and ffmpeg: raw frames, each with its exact time in the clock
 * of the source.
 *
 * Y4M and raw video have no timestamps, Matroska rounds them to the millisecond; NUT carries any clock and
 * streams through a pipe. Read and written here is what one stream of raw video needs of version 3 of its
 * specification (https://ffmpeg.org/~michael/nut.txt): main, stream and info headers, syncpoints, frames,
 * checksums.
 *
 * @module
 */
export { nutCrc, NutError, nutFrameBytes } from "./nut_format.ts";
export type { NutFrame, NutPixelFormat, NutStream } from "./nut_format.ts";
export { NutReader } from "./nut_reader.ts";
export { NutWriter } from "./nut_writer.ts";
