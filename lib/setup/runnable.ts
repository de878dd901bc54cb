/**
 * Prints the programs that walkcut may run, for `--allow-run`: `ffmpeg`, the one that
 * `FFMPEG_BIN` names, and ffmpeg-static's where it was downloaded.
 *
 * @module
 */
const names = ["ffmpeg"];
const asked = Deno.env.get("FFMPEG_BIN");
if (asked) names.push(asked);
try {
  const { default: bundled } = await import("ffmpeg-static") as { default: unknown };
  if (typeof bundled === "string" && bundled !== asked && (await Deno.stat(bundled)).isFile) {
    names.push(bundled);
  }
} catch {
  // Not installed or not downloaded: the others do.
}
console.log(names.join(","));
