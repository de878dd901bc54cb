/**
 * Words of a command line in one string.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/**
 * Splits a text into words as a shell does: blanks separate, quotes and backslashes hold together.
 *
 * @throws {UsageError} If a quote is left open.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (quote) {
      if (c === quote) quote = "";
      else if (c === "\\" && quote === '"' && /["\\]/.test(text.charAt(i + 1))) word += text.charAt(++i);
      else word += c;
    } else if (c === "'" || c === '"') {
      quote = c;
      word ??= "";
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + (c === "\\" && i + 1 < text.length ? text.charAt(++i) : c);
  }
  if (quote) {
    throw new UsageError({ what: "A quote is left open", found: text, advice: `close it with ${quote}` });
  }
  if (word !== undefined) words.push(word);
  return words;
}
