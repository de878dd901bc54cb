/**
 * Runs CLIP's text encoders of an imported network on a prompt.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { DiffusionManifest, TextPart } from "./manifest.ts";
import { openBackend, PartRunner } from "./runtime.ts";
import { Tokenizer, type Tokens } from "./tokenizer.ts";

/** Files of a tokenizer; the last one may be missing. */
export const TOKENIZER_FILES = ["vocab.json", "merges.txt", "tokenizer_config.json"] as const;

/** Tokens of the context where there is no text encoder that says. */
export const DEFAULT_TOKENS = 77;

/** Numbers and their shape. */
export interface ConditionTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** What conditions the UNet: the text's `context`, and for SDXL its pooled `text_embeds`. */
export type Conditions = Readonly<Record<string, ConditionTensor>>;

/** What a text encoder gives. */
interface Encoded {
  /** `[tokens, width]`. */
  readonly hidden: Float32Array<ArrayBuffer>;
  readonly pooled?: Float32Array<ArrayBuffer>;
}

/**
 * Encodes a prompt: the encoders run one after the other on the CPU, and what they give is joined by
 * columns. Without any encoder everything is 0.
 *
 * @param folder where the folders of the encoders lie.
 * @param width columns of the context.
 * @param textWidth columns of the pooled text; null where the UNet takes none.
 * @param onNote told where the prompt is too long.
 */
export async function encodePrompt(
  folder: string,
  texts: readonly TextPart[],
  prompt: string,
  width: number,
  textWidth: number | null,
  onNote: (line: string) => void,
): Promise<Conditions> {
  const tokens = texts[0]?.positions ?? DEFAULT_TOKENS;
  const context = new Float32Array(tokens * width);
  let pooled = new Float32Array(textWidth ?? 0);
  let column = 0;
  for (const text of texts) {
    const tokenizer = await Tokenizer.open(`${folder}/${text.folder}`);
    const ids = tokenizer.encode(prompt, text.positions);
    if (column === 0 && tokenizer.encode(prompt, text.positions + 1).end > ids.end) {
      onNote(`the prompt is longer than ${text.positions - 2} tokens: its end is left out`);
    }
    const encoded = await encode(folder, text, ids);
    for (let i = 0; i < tokens; i++) {
      context.set(encoded.hidden.subarray(i * text.width, (i + 1) * text.width), i * width + column);
    }
    column += text.width;
    pooled = encoded.pooled ?? pooled;
  }
  return {
    context: { shape: [1, tokens, width], data: context },
    ...(textWidth === null ? {} : { text_embeds: { shape: [1, textWidth], data: pooled } }),
  };
}

/**
 * Encodes a prompt for an imported network.
 *
 * @param width columns of the context that it takes.
 * @param onNote told where the prompt is too long.
 * @throws {UsageError} a network without text encoders.
 */
export async function encodeFor(
  folder: string,
  { name, texts, unet }: DiffusionManifest,
  prompt: string,
  width: number,
  onNote: (line: string) => void,
): Promise<Conditions> {
  if (texts.length > 0) return await encodePrompt(folder, texts, prompt, width, unet.textWidth, onNote);
  throw new UsageError({
    what: "Cannot encode --prompt, the imported network has no text encoder",
    found: name,
    advice: "leave --prompt out, or import a checkpoint with text_encoder and tokenizer folders",
  });
}

/** Runs one text encoder on the CPU. */
async function encode(folder: string, text: TextPart, tokens: Tokens): Promise<Encoded> {
  const backend = await openBackend({ device: "cpu" });
  const runner = await PartRunner.open(`${folder}/${text.folder}`, text, backend, {});
  try {
    const { Tensor } = backend.ort;
    const feeds = {
      ids: new Tensor("int64", BigInt64Array.from(tokens.ids.map(BigInt)), [1, tokens.ids.length]),
      end: new Tensor("int64", [BigInt(tokens.end)], [1]),
    };
    const outputs = await runner.run(feeds, ["hidden", "pooled"]);
    const take = (name: string) => Float32Array.from(outputs[name]!.data as Float32Array);
    return { hidden: take("hidden"), ...(outputs.pooled === undefined ? {} : { pooled: take("pooled") }) };
  } finally {
    await runner.close();
  }
}
