/**
 * Reads the two formats in which apt's sources are written.
 *
 * @module
 */

/** A place from which apt takes packages. */
export interface Source {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Path of the key, where one is named. */
  readonly signedBy?: string;
}

/**
 * The enabled binary sources of a file.
 *
 * @param deb822 the format of `.sources` files; else one source a line.
 */
export function parseSources(text: string, deb822: boolean): Source[] {
  return deb822 ? parseStanzas(text) : parseLines(text);
}

function parseLines(text: string): Source[] {
  const sources: Source[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) continue;
    const [, options = "", uri = "", suite = "", components = ""] = match;
    sources.push(source(uri, [suite], words(components), /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1]));
  }
  return sources;
}

function parseStanzas(text: string): Source[] {
  const sources: Source[] = [];
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const stanza of lines.join("\n").split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const [, name = "", value = ""] of stanza.matchAll(/^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)/gm)) {
      fields.set(name.toLowerCase(), value);
    }
    const list = (name: string) => words(fields.get(name) ?? "");
    if (!list("types").includes("deb") || fields.get("enabled")?.trim().toLowerCase() === "no") continue;
    const key = fields.get("signed-by")?.trim();
    for (const uri of list("uris")) {
      // A key may be written out in the file itself: only a path can be named again.
      sources.push(source(uri, list("suites"), list("components"), key?.startsWith("/") ? key : undefined));
    }
  }
  return sources;
}

function source(uri: string, suites: string[], components: string[], signedBy: string | undefined): Source {
  return { uri, suites, components, ...(signedBy ? { signedBy } : {}) };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}
