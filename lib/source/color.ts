/**
 * From the source's colours to RGB and back: which matrix, and what to do with high dynamic range.
 *
 * @module
 */
import type { ProbedVideo } from "../ffmpeg/probe.ts";
import type { FrameColor } from "./frame.ts";
import type { Size } from "./numbers.ts";
import { LEAST_SIDE } from "./planes.ts";

/** How frames become RGB. */
export interface ColorPlan {
  /** ffmpeg's filters, from the decoder to `pixels`. */
  readonly filters: readonly string[];
  /** `yuv420p` where frames are taken as they are, and become RGB here. */
  readonly pixels: "rgb24" | "yuv420p";
  /** What the RGB frames are, for an encoder's tags. */
  readonly color: FrameColor;
  readonly notes: readonly string[];
}

// swscale's short cuts are off by up to three levels and do not interpolate chroma; these flags are exact.
const EXACT = "flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp";

/**
 * Plans the conversion to RGB.
 *
 * Without a tag, YUV is taken for BT.709 from 1280×720 up and for BT.601 below, as players do. High dynamic
 * range is recognised by its transfer function, not by its bit depth, and tone-mapped to BT.709.
 *
 * @param filters Lists what this ffmpeg has; called for high dynamic range alone.
 * @param upright False where RGB frames are turned afterwards.
 */
export async function planColor(
  video: ProbedVideo | undefined,
  filters: () => Promise<ReadonlySet<string>>,
  upright = true,
): Promise<ColorPlan> {
  if (!video || isRgb(video.pixelFormat)) {
    return {
      filters: [`scale=${size(video)}${EXACT}`, "format=rgb24"],
      pixels: "rgb24",
      color: { matrix: "bt709", primaries: "bt709", transfer: "bt709" },
      notes: [],
    };
  }
  const { transfer } = video;
  if (transfer === "smpte2084" || transfer === "arib-std-b67") {
    return planHdr(video, transfer, await filters());
  }
  const matrix = matrixOf(video);
  const pixels = upright && staysPlanar(video) ? "yuv420p" : "rgb24";
  return {
    filters: [`scale=${size(video)}in_color_matrix=${scaleName(matrix)}:${EXACT}`, `format=${pixels}`],
    pixels,
    color: {
      matrix,
      primaries: video.primaries ?? defaultPrimaries(matrix),
      transfer: transfer ??
        (matrix === "bt2020nc" ? "bt2020-10" : matrix === "bt709" ? "bt709" : "smpte170m"),
    },
    notes: [],
  };
}

/** True where frames are what {@linkcode Planes} holds: 8-bit 4:2:0 of limited range, nothing turned or cut off. */
function staysPlanar({ pixelFormat, range, rotation, width, height }: ProbedVideo): boolean {
  const fits = (side: number) => side % 2 === 0 && side >= LEAST_SIDE;
  return pixelFormat === "yuv420p" && range !== "pc" && rotation === 0 && fits(width) && fits(height);
}

/**
 * The filters with which an encoder goes from RGB to YUV with the tags of `color`, or keeps RGB.
 *
 * @param planar True where pictures come in `pixelFormat`, with the matrix of `color`.
 */
export function encodeFilters(color: FrameColor, pixelFormat: string, planar = false): string[] {
  if (isRgb(pixelFormat)) return [`format=${pixelFormat}`];
  const range = /^yuvj/.test(pixelFormat) ? "pc" : "tv";
  return [
    ...planar ? [] : [
      `scale=out_color_matrix=${scaleName(color.matrix)}:out_range=${range}:` +
      "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
    ],
    `format=${pixelFormat}`,
    `setparams=range=${range}:colorspace=${color.matrix}` +
    (color.primaries ? `:color_primaries=${color.primaries}` : "") +
    (color.transfer ? `:color_trc=${color.transfer}` : ""),
  ];
}

/** The encoder's tags that say the same. */
export function colorTags(color: FrameColor, pixelFormat: string): string[] {
  if (isRgb(pixelFormat)) return [];
  return [
    "-colorspace",
    color.matrix,
    "-color_range",
    /^yuvj/.test(pixelFormat) ? "pc" : "tv",
    ...(color.primaries ? ["-color_primaries", color.primaries] : []),
    ...(color.transfer ? ["-color_trc", color.transfer] : []),
  ];
}

/** True for pixel formats that are no YUV: RGB, grey and palettes. */
function isRgb(pixelFormat: string): boolean {
  return /^(rgb|bgr|gbr|argb|abgr|0rgb|0bgr|gray|ya|pal8|mono|bayer|x2rgb|x2bgr)/.test(pixelFormat);
}

/** Frames keep the size of the first one, unless a rotation comes between. */
function size(video: ProbedVideo | undefined): string {
  return video && video.rotation === 0 && video.width > 0 ? `${video.width}:${video.height}:` : "";
}

function matrixOf(video: ProbedVideo): FrameColor["matrix"] {
  switch (video.matrix) {
    case "bt709":
    case "bt470bg":
    case "smpte170m":
      return video.matrix;
    case "bt2020nc":
    case "bt2020c":
      return "bt2020nc";
    case "fcc":
    case "smpte240m":
      return "smpte170m";
    default:
      return untaggedMatrix(video);
  }
}

/** The matrix that a reader takes YUV without tags to have. */
export function untaggedMatrix({ width, height }: Size): "bt709" | "smpte170m" {
  return height >= 720 || width >= 1280 ? "bt709" : "smpte170m";
}

function defaultPrimaries(matrix: FrameColor["matrix"]): string {
  return matrix === "bt2020nc" ? "bt2020" : matrix;
}

/** swscale's name of a matrix. */
function scaleName(matrix: FrameColor["matrix"]): string {
  return matrix === "bt2020nc" ? "bt2020" : matrix === "bt470bg" ? "bt601" : matrix;
}

function planHdr(
  video: ProbedVideo,
  transfer: "smpte2084" | "arib-std-b67",
  filters: ReadonlySet<string>,
): ColorPlan {
  const color: FrameColor = { matrix: "bt709", primaries: "bt709", transfer: "bt709" };
  const name = transfer === "smpte2084" ? "PQ" : "HLG";
  const pinned = `scale=${size(video)}${EXACT}`;
  if (filters.has("zscale") && filters.has("tonemap")) {
    return {
      filters: [
        pinned,
        // What is not tagged is said, or zscale refuses.
        `setparams=color_primaries=${video.primaries ?? "bt2020"}:color_trc=${transfer}:` +
        `colorspace=${video.matrix ?? "bt2020nc"}`,
        "zscale=t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=gbr:r=pc",
        "format=gbrp",
        "format=rgb24",
      ],
      pixels: "rgb24",
      color,
      notes: [`${name} video is tone-mapped to BT.709`],
    };
  }
  return {
    filters: [
      `scale=${size(video)}in_color_matrix=bt2020:${EXACT}`,
      "format=gbrp16le",
      `lutrgb=r='${toneCurve(transfer)}':g='${toneCurve(transfer)}':b='${toneCurve(transfer)}'`,
      "format=rgb24",
    ],
    pixels: "rgb24",
    color,
    notes: [
      `${name} video is tone-mapped by a curve on each channel, without its wider gamut: ` +
      "this ffmpeg has no zscale",
    ],
  };
}

/**
 * Tone mapping as one curve a channel: the transfer's light (1 = 100 cd/m²), Reinhard's curve with white at
 * 10 (1,000 cd/m²), BT.709's gamma. SMPTE ST 2084 and ARIB STD-B67 define the two transfers.
 */
function toneCurve(transfer: "smpte2084" | "arib-std-b67"): string {
  const e = "(val/65535)";
  const light = transfer === "smpte2084"
    ? `100*pow(max(pow(${e},1/78.84375)-0.8359375,0)/(18.8515625-18.6875*pow(${e},1/78.84375)),1/0.1593017578125)`
    : `10*pow(if(lte(${e},0.5),${e}*${e}/3,(exp((${e}-0.55991073)/0.17883277)+0.28466892)/12),1.2)`;
  return `st(0,${light});st(1,ld(0)*(1+ld(0)/100)/(1+ld(0)));65535*min(pow(ld(1),1/2.2),1)`.replace(
    /,/g,
    "\\,",
  );
}
