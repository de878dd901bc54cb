/**
 * walkcut as a library: the segmenter, and the sources and sinks that the command
 * line uses.
 *
 * @module
 */
export * from "./errors.ts";
export * from "./segmenter.ts";
export * from "./sink/mod.ts";
export * from "./source/mod.ts";
export { type Drawable, Renderer, type RenderOptions, type View, views } from "./render/render.ts";
