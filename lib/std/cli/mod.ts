/**
 * The part of `@std/cli` that walkcut uses, for machines without JSR.
 *
 * @module
 */
export * from "./parse_args.ts";
