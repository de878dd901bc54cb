/**
 * The permissions and the settings of memory that walkcut needs, for the launcher and the standalone program.
 * The task `walkcut` in `deno.json` has the same; a test compares them.
 *
 * @module
 */

/** Environment variables that walkcut or its packages read. */
const VARIABLES = [
  "FFMPEG_BIN",
  "PATH",
  "TERM",
  "NO_COLOR",
  "WALKCUT_MODELS",
  "HOME",
  "USERPROFILE",
  "LOCALAPPDATA",
  "XDG_DATA_HOME",
  "XDG_RUNTIME_DIR",
  "npm_config_arch",
  "npm_config_platform",
  "FFMPEG_BINARY_RELEASE",
];

/** Flags of `deno run`, without the programs that may be run. */
export const PERMISSION_FLAGS: readonly string[] = [
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  `--allow-env=${VARIABLES.join(",")}`,
  "--allow-sys=statfs,systemMemoryInfo",
];

/** Small young generations: what a frame leaves behind is let go at once. */
export const V8_FLAGS = "--v8-flags=--min-semi-space-size=1,--max-semi-space-size=1";

/** Settings of glibc's allocator, as a shell writes them: large arrays go back to the system when they are freed. */
export const MALLOC_SETTINGS = "MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536";
