/**
 * CLIP's tokenizer: byte-pair encoding from a checkpoint's `vocab.json` and `merges.txt`.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";

const [BEGIN, END] = ["<|startoftext|>", "<|endoftext|>"];

/** Cuts a text into what merges must not cross: contractions, words, single digits, other signs. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;

/** A text as token ids. */
export interface Tokens {
  /** `[length]`: begin, the text, end, padding. */
  readonly ids: readonly number[];
  /** Position of the first end token, where the pooled output is read. */
  readonly end: number;
}

/** Turns texts into ids. */
export class Tokenizer {
  readonly #ranks: ReadonlyMap<string, number>;

  constructor(
    readonly vocabulary: ReadonlyMap<string, number>,
    merges: readonly string[],
    readonly padding: number,
    readonly label: string,
  ) {
    this.#ranks = new Map(merges.map((pair, rank) => [pair, rank]));
  }

  /** Reads `vocab.json`, `merges.txt` and, where it is there, the padding of `tokenizer_config.json`. */
  static async open(folder: string): Promise<Tokenizer> {
    const vocabulary = new Map(Object.entries(await readJson(`${folder}/vocab.json`))) as Map<string, number>;
    const merges = (await readText(`${folder}/merges.txt`)).split("\n")
      .filter((line) => line !== "" && !line.startsWith("#version"));
    const tokenizer = new Tokenizer(vocabulary, merges, await paddingId(folder, vocabulary), folder);
    tokenizer.#id(BEGIN);
    tokenizer.#id(END);
    return tokenizer;
  }

  /** Encodes `text` to `length` ids; a longer text is cut. */
  encode(text: string, length: number): Tokens {
    const body = this.#pieces(text).slice(0, length - 2);
    const ids = [this.#id(BEGIN), ...body, this.#id(END)];
    const end = ids.length - 1;
    while (ids.length < length) ids.push(this.padding);
    return { ids, end };
  }

  #pieces(text: string): number[] {
    const clean = text.normalize("NFC").replace(/\s+/g, " ").trim().toLowerCase();
    const utf8 = new TextEncoder();
    return (clean.match(PIECES) ?? []).flatMap((piece) => {
      const letters = Array.from(utf8.encode(piece), (byte) => BYTE_LETTERS[byte]!);
      return this.#merge([...letters.slice(0, -1), letters.at(-1)! + "</w>"]).map((part) => this.#id(part));
    });
  }

  /** Joins the pair that was learned first until none is left. */
  #merge(parts: string[]): string[] {
    for (;;) {
      let [best, rank] = ["", Infinity];
      for (let i = 0; i + 1 < parts.length; i++) {
        const pair = `${parts[i]} ${parts[i + 1]}`;
        const own = this.#ranks.get(pair) ?? Infinity;
        if (own < rank) [best, rank] = [pair, own];
      }
      if (rank === Infinity) return parts;
      const joined: string[] = [];
      for (let i = 0; i < parts.length; i++) {
        if (i + 1 < parts.length && `${parts[i]} ${parts[i + 1]}` === best) {
          joined.push(parts[i]! + parts[++i]!);
        } else joined.push(parts[i]!);
      }
      parts = joined;
    }
  }

  #id(token: string): number {
    const id = this.vocabulary.get(token);
    if (!Number.isSafeInteger(id)) {
      throw new UsageError({
        what: `Cannot use ${oneLine(this.label)}, a token is missing in vocab.json`,
        found: token,
        advice: "download the tokenizer again",
      });
    }
    return id!;
  }
}

/** A printable letter for each byte, as the vocabulary spells them. */
const BYTE_LETTERS = byteLetters();

function byteLetters(): string[] {
  const printable = (byte: number) =>
    byte >= 0x21 && byte <= 0x7e || byte >= 0xa1 && byte <= 0xac || byte >= 0xae && byte <= 0xff;
  let spare = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : spare++));
}

async function paddingId(folder: string, vocabulary: ReadonlyMap<string, number>): Promise<number> {
  let token: unknown = END;
  try {
    token = JSON.parse(await Deno.readTextFile(`${folder}/tokenizer_config.json`)).pad_token ?? END;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const text = typeof token === "object" ? (token as { content?: unknown }).content : token;
  return vocabulary.get(String(text)) ?? vocabulary.get(END) ?? 0;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readText(path));
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError({
      what: "Cannot use the tokenizer, its vocab.json is not JSON",
      found: path,
      cause,
    });
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new UsageError({
      what: "Cannot read the tokenizer",
      found: path,
      advice: "the tokenizer folder needs vocab.json and merges.txt",
      cause,
    });
  }
}
