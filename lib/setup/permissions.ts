/**
 * The permissions that walkcut needs, for the launcher and the standalone program.
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
];
