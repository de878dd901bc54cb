/**
 * What is known of an imported network: the manifest in its folder.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";
import type { SchedulerConfig } from "./config.ts";
import type { Precision } from "./dtypes.ts";
import type { ActivationSizes } from "./graph.ts";
import type { SelfAttention } from "./unet.ts";

/** Name of the manifest in a network's folder. */
export const MANIFEST_FILE = "manifest.json";

/** Marks a manifest of this module; other networks' are read elsewhere. */
export const DIFFUSION_FORMAT = "walkcut-diffusion/1";

/** A file and what it holds. */
export interface FileRecord {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** One ONNX file of a part. */
export interface SectionFile {
  readonly file: string;
  /** First weight of the section in the part's file of weights, in elements. */
  readonly offset: number;
  /** Number of weights. */
  readonly length: number;
  /** True where the extraction pass needs it. */
  readonly head: boolean;
}

/** A network in sections that run one after the other; weights are stored once for all graphs. */
export interface Part {
  readonly weights: FileRecord;
  /** Names a file inside ONNX's external data. */
  readonly location: string;
  /** Type of the weights in the file. */
  readonly stored: "float16" | "float32";
  /** The sections, by the type in which they compute. */
  readonly graphs: { readonly float32: readonly SectionFile[]; readonly float16?: readonly SectionFile[] };
}

/** A text encoder; its files and its tokenizer's lie in a folder of their own. */
export interface TextPart extends Part {
  /** Name of the folder in the network's. */
  readonly folder: string;
  /** Columns of what it gives. */
  readonly width: number;
  /** Tokens of a text. */
  readonly positions: number;
  readonly tokenizer: readonly FileRecord[];
}

/** The manifest of an imported diffusion network. */
export interface DiffusionManifest {
  readonly format: typeof DIFFUSION_FORMAT;
  readonly name: string;
  readonly precision: Precision;
  /** Where it came from. */
  readonly source: { readonly folder: string; readonly files: readonly FileRecord[] };
  readonly unet: Part & {
    readonly latentChannels: number;
    /** Side of the latent for which it was trained. */
    readonly sampleSize: number;
    /** Resolutions: halvings and one. */
    readonly levels: number;
    readonly layers: readonly SelfAttention[];
    readonly parameters: number;
    /** Width of the pooled text, where it takes added conditions. */
    readonly textWidth: number | null;
    /** At the size for which it was trained. */
    readonly activations: ActivationSizes;
  };
  readonly vae: Part & {
    readonly scalingFactor: number;
    readonly levels: number;
    readonly parameters: number;
    readonly activations: ActivationSizes;
  };
  readonly scheduler: SchedulerConfig;
  /** In the order in which their outputs are joined; none where the checkpoint had none. */
  readonly texts: readonly TextPart[];
  /** The text's embedding, made at import. */
  readonly conditions: FileRecord & { readonly prompt: string; readonly encoded: boolean };
}

/** Reads the manifest in `folder`; throws a `UsageError` where there is none that can be read. */
export async function readManifest(folder: string): Promise<DiffusionManifest> {
  const path = `${folder}/${MANIFEST_FILE}`;
  let json: unknown;
  try {
    json = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    const why = cause instanceof SyntaxError ? "is not JSON" : "cannot be read";
    throw new UsageError({
      what: `Cannot use the network, its manifest ${why}`,
      found: path,
      advice: "see walkcut models list, or import the checkpoint again",
      cause,
    });
  }
  if (!isManifest(json)) {
    throw new UsageError({
      what: `Cannot use the network, ${oneLine(path)} is not of the format ${DIFFUSION_FORMAT}`,
      found: JSON.stringify((json as { format?: unknown } | null)?.format) ?? "no format",
      advice: "import the checkpoint again",
    });
  }
  // Imports of before text encoders were kept have none.
  return { ...json, texts: json.texts ?? [] };
}

function isManifest(
  json: unknown,
): json is Omit<DiffusionManifest, "texts"> & Partial<Pick<DiffusionManifest, "texts">> {
  if (typeof json !== "object" || json === null) return false;
  const { format, unet, vae, scheduler, conditions } = json as Record<string, unknown>;
  return format === DIFFUSION_FORMAT &&
    [unet, vae, scheduler, conditions].every((part) => typeof part === "object" && part !== null);
}
