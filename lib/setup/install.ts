/**
 * Puts `walkcut` on PATH: `deno task install [FOLDER]`.
 *
 * It writes a launcher, which sets the allocator and V8 as the task does. Deno's own way works too, and takes
 * some more memory. It copies a configuration away from the folders that it links to (`lib/std`), so that it
 * must be given the import map beside this file:
 *
 * ```sh
 * deno install --global --quiet --name walkcut --import-map lib/setup/import_map.json --unstable-raw-imports \
 *   --allow-read --allow-write --allow-env --allow-sys --allow-run=ffmpeg main.ts
 * ```
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { MALLOC_SETTINGS, PERMISSION_FLAGS, V8_FLAGS } from "./permissions.ts";

/** The launcher's text. FFMPEG_BIN is read when it runs. */
export function launcher(deno: string, root: string): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  return `#!/bin/sh
# Runs walkcut from its checkout.
export ${MALLOC_SETTINGS}
exec ${quote(deno)} run -q ${V8_FLAGS} --config ${quote(`${root}deno.json`)} ${PERMISSION_FLAGS.join(" ")} \\
  --allow-run="ffmpeg\${FFMPEG_BIN:+,$FFMPEG_BIN}" ${quote(`${root}main.ts`)} "$@"
`;
}

/** Writes the launcher into a folder and returns its path. */
export async function install(folder: string): Promise<string> {
  const path = `${folder}/walkcut`;
  const root = fileURLToPath(new URL("../../", import.meta.url));
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, launcher(Deno.execPath(), root), { mode: 0o755 });
  await Deno.chmod(path, 0o755);
  return path;
}

if (import.meta.main) {
  if (Deno.build.os === "windows") {
    console.error("walkcut: The launcher is a shell script; use deno task walkcut on Windows");
    Deno.exit(1);
  }
  const folder = Deno.args[0] ??
    `${Deno.env.get("DENO_INSTALL_ROOT") ?? `${Deno.env.get("HOME")}/.deno`}/bin`;
  const path = await install(folder);
  const onPath = (Deno.env.get("PATH") ?? "").split(":").includes(folder);
  console.error(`walkcut: wrote ${path}${onPath ? "" : `; ${folder} is not on PATH, add it`}`);
}
