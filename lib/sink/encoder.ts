/**
 * Which encoder, pixel format and other streams a container gets.
 *
 * @module
 */
import { type Ffmpeg, ffmpegInstallLine, listCapabilities } from "../ffmpeg/locate.ts";
import { UsageError } from "../errors.ts";
import { findHardware, hardwareSetting, isHardware, requireHardware } from "./hardware.ts";
import { leadsIn } from "../source/aside.ts";
import type { Origin, OriginStream } from "../source/frame.ts";

/** A container that pictures can be encoded into. */
export interface Container {
  /** ffmpeg's muxer. */
  readonly muxer: string;
  /** Encoders in order of preference. */
  readonly codecs: readonly string[];
  /** What encoders in hardware may make for it, the best first. */
  readonly hardware: readonly string[];
  /** Encoders for pictures with alpha, in order of preference; empty where the container takes none. */
  readonly alphaCodecs: readonly string[];
  /** Codecs of sound that it takes as they are; `"all"`. */
  readonly audio: readonly string[] | "all";
  /** What sound becomes otherwise; unset where it takes no sound. */
  readonly audioCodec?: string;
  /** Codecs of subtitles that it takes as they are. */
  readonly subtitles: readonly string[];
  /** What text subtitles become otherwise. */
  readonly subtitleCodec?: string;
  readonly attachments: boolean;
}

const MP4: Container = {
  muxer: "mp4",
  codecs: ["libx264", "h264_videotoolbox", "libopenh264", "mpeg4"],
  hardware: ["h264", "hevc", "av1"],
  alphaCodecs: [],
  audio: ["aac", "mp3", "ac3", "eac3", "opus", "alac", "flac", "mp2"],
  audioCodec: "aac",
  subtitles: ["mov_text"],
  subtitleCodec: "mov_text",
  attachments: false,
};

const CONTAINERS: Readonly<Record<string, Container>> = {
  mp4: MP4,
  m4v: MP4,
  mov: {
    ...MP4,
    muxer: "mov",
    alphaCodecs: ["prores_ks", "png"],
    audio: [
      "aac",
      "mp3",
      "ac3",
      "eac3",
      "alac",
      "pcm_s16le",
      "pcm_s24le",
      "pcm_s16be",
      "pcm_s24be",
      "pcm_f32le",
    ],
  },
  mkv: {
    muxer: "matroska",
    codecs: ["libx264", "h264_videotoolbox", "libopenh264", "mpeg4"],
    hardware: ["h264", "hevc", "av1"],
    alphaCodecs: ["ffv1"],
    audio: "all",
    audioCodec: "aac",
    subtitles: ["subrip", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"],
    subtitleCodec: "srt",
    attachments: true,
  },
  webm: {
    muxer: "webm",
    codecs: ["libvpx-vp9", "libvpx", "libsvtav1", "libaom-av1"],
    hardware: ["av1", "vp9", "vp8"],
    alphaCodecs: ["libvpx-vp9", "libvpx"],
    audio: ["opus", "vorbis"],
    audioCodec: "libvorbis",
    subtitles: ["webvtt"],
    subtitleCodec: "webvtt",
    attachments: false,
  },
  gif: {
    muxer: "gif",
    codecs: ["gif"],
    hardware: [],
    alphaCodecs: ["gif"],
    audio: [],
    subtitles: [],
    attachments: false,
  },
};

/** Subtitles that are text, and so can be turned into another kind of text. */
const TEXT_SUBTITLES = ["subrip", "ass", "ssa", "webvtt", "mov_text", "text"];

/**
 * The container of an output's extension.
 *
 * @throws {UsageError} If it is unknown.
 */
export function containerOf(path: string): Container {
  const extension = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  const container = Object.hasOwn(CONTAINERS, extension) ? CONTAINERS[extension] : undefined;
  if (!container) {
    throw new UsageError({
      what: "Unknown kind of output",
      found: path,
      advice: `give one of ${
        Object.keys(CONTAINERS).map((name) => `.${name}`).join(", ")
      }, .png, .jpg or %06d.png`,
    });
  }
  return container;
}

/** An encoder and how it is set. */
export interface EncoderChoice {
  readonly codec: string;
  readonly pixelFormat: string;
  readonly args: readonly string[];
  /** ffmpeg's arguments before its inputs. */
  readonly device: readonly string[];
  /** Filters after the pixel format, to a device. */
  readonly upload: readonly string[];
}

/** What the person may ask for. */
export interface EncoderSettings {
  /** ffmpeg's name of the encoder, or `"hardware"` for any such that works. Default: what suits the container. */
  readonly codec?: string;
  /** Constant rate factor. Default: 18 for H.264 and what matches it elsewhere. */
  readonly crf?: number;
  /** The encoder's preset. Default: the encoder's own, `medium` for H.264. */
  readonly preset?: string;
  /** ffmpeg's name of the pixel format. Default: what suits the codec. */
  readonly pixFmt?: string;
}

/** That, and what there is to encode. */
export interface EncoderWishes extends EncoderSettings {
  readonly channels: 3 | 4;
  readonly width: number;
  readonly height: number;
}

/**
 * Chooses and sets the encoder.
 *
 * @throws {UsageError} If this ffmpeg lacks it, or the container takes no alpha.
 * @throws {DeviceError} If it is one in hardware that does not work here.
 */
export async function chooseEncoder(
  ffmpeg: Ffmpeg,
  container: Container,
  wishes: EncoderWishes,
): Promise<EncoderChoice> {
  const have = await listCapabilities(ffmpeg, "encoders");
  const wanted = wishes.channels === 4 ? container.alphaCodecs : container.codecs;
  if (wishes.codec === undefined && wanted.length === 0) {
    throw new UsageError({
      what: `A .${container.muxer} output has no alpha`,
      advice: "write .mov, .webm, .mkv or .png, or name a --codec that has",
    });
  }
  const codec = wishes.codec === "hardware"
    ? await findHardware(ffmpeg, container.hardware)
    : wishes.codec ?? wanted.find((name) => have.has(name));
  if (codec === undefined || !have.has(codec)) {
    const near = [...have].filter((name) => codec && (name.includes(codec) || codec.includes(name))).slice(
      0,
      4,
    );
    throw new UsageError({
      what: "This ffmpeg has no such encoder",
      found: codec ?? wanted.join(", "),
      advice: near.length > 0 ? `it has ${near.join(", ")}` : `install a full one: ${ffmpegInstallLine()}`,
    });
  }
  // Players of Apple know HEVC in MP4 by this tag alone.
  const tag = /hevc|x265/.test(codec) && /^(mp4|mov)$/.test(container.muxer) ? ["-tag:v", "hvc1"] : [];
  if (isHardware(codec)) {
    if (wishes.codec !== "hardware") await requireHardware(ffmpeg, codec);
    const { args, ...setting } = hardwareSetting(codec, wishes.crf, wishes.preset);
    return {
      codec,
      ...setting,
      args: [...args, ...tag],
      ...(wishes.pixFmt === undefined ? {} : { pixelFormat: wishes.pixFmt }),
    };
  }
  const alpha = wishes.channels === 4;
  return {
    codec,
    pixelFormat: wishes.pixFmt ??
      pixelFormatOf(codec, alpha, wishes.width % 2 === 0 && wishes.height % 2 === 0),
    args: [...encoderArgs(codec, wishes), ...tag],
    device: [],
    upload: [],
  };
}

/** The pixel format that most players take; odd sizes need chroma at full resolution where 4:2:0 cannot be. */
function pixelFormatOf(codec: string, alpha: boolean, even: boolean): string {
  switch (codec) {
    case "gif":
      return alpha ? "bgra" : "bgr24";
    case "png":
      return alpha ? "rgba" : "rgb24";
    case "ffv1":
      return alpha ? "bgra" : "bgr0";
    case "libx264rgb":
      return "bgr24";
    case "prores_ks":
      return alpha ? "yuva444p10le" : "yuv422p10le";
    case "prores":
    case "prores_aw":
      return "yuv422p10le";
    case "mjpeg":
      return "yuvj420p";
  }
  if (alpha) return "yuva420p";
  return even || /vp9|libvpx|av1|mpeg4/.test(codec) ? "yuv420p" : "yuv444p";
}

function encoderArgs(codec: string, { crf, preset, channels }: EncoderWishes): string[] {
  const args: string[] = [];
  if (/^libx26[45]/.test(codec)) {
    args.push("-crf", String(crf ?? (codec === "libx265" ? 21 : 18)), "-preset", preset ?? "medium");
  } else if (/^libvpx|^libaom/.test(codec)) {
    args.push("-crf", String(crf ?? 28), "-b:v", "0");
    if (preset) args.push(codec.startsWith("libaom") ? "-cpu-used" : "-deadline", preset);
    else args.push("-row-mt", "1", "-cpu-used", "4");
    if (channels === 4) args.push("-auto-alt-ref", "0");
  } else if (codec === "libsvtav1") {
    args.push("-crf", String(crf ?? 28), "-preset", preset ?? "8");
  } else if (codec === "mpeg4" || codec === "mjpeg") {
    args.push("-q:v", String(crf ?? 3));
  } else {
    if (crf !== undefined) args.push("-crf", String(crf));
    if (preset !== undefined) args.push("-preset", preset);
    if (codec === "prores_ks" && channels === 4) args.push("-profile:v", "4444", "-alpha_bits", "16");
  }
  return args;
}

/** ffmpeg's arguments for the streams that come from the source, as input 1. */
export interface CopyPlan {
  readonly inputArgs: readonly string[];
  readonly args: readonly string[];
  /** Those of subtitles that a fragmented file would lose the lengths of: they come in when it is joined. */
  readonly late: readonly string[];
  /** True where the source must be opened as a second input. */
  readonly needed: boolean;
  /** True where sound is among them. */
  readonly sound: boolean;
  readonly warnings: readonly string[];
}

/** Decides for each stream of the source: copied, transcoded or dropped, with a line for all but the first. */
export function planCopies(origin: Origin, container: Container, muxerName: string): CopyPlan {
  const args: string[] = [];
  const late: string[] = [];
  const warnings: string[] = [];
  let [audio, subtitles, attachments] = [0, 0, 0];
  let opus = false;
  const map = (stream: OriginStream) => args.push("-map", `1:${stream.index}`);
  for (const stream of origin.streams) {
    if (stream.kind === "audio") {
      if (!container.audioCodec) {
        warnings.push(`sound (${stream.codec}) is dropped: .${muxerName} has none`);
        continue;
      }
      map(stream);
      const copied = container.audio === "all" || container.audio.includes(stream.codec);
      const codec = copied ? stream.codec : container.audioCodec;
      opus ||= codec === "opus";
      args.push(`-c:a:${audio}`, copied ? "copy" : codec);
      // Sound from before the start may only be cut where it is decoded.
      if (!copied && origin.skipped) args.push(`-filter:a:${audio}`, "atrim=start=0");
      audio++;
      if (!copied) {
        warnings.push(
          `sound is transcoded: .${muxerName} does not take ${stream.codec}, so it becomes ${container.audioCodec}`,
        );
      }
    } else if (stream.kind === "subtitle") {
      const copied = container.subtitles.includes(stream.codec);
      const turned = !copied && container.subtitleCodec && TEXT_SUBTITLES.includes(stream.codec);
      if (!copied && !turned) {
        warnings.push(`subtitles (${stream.codec}) are dropped: .${muxerName} does not take them`);
        continue;
      }
      const where = container.subtitleCodec === "mov_text" ? late : args;
      where.push("-map", `1:${stream.index}`);
      where.push(`-c:s:${subtitles++}`, copied ? "copy" : container.subtitleCodec!);
      if (turned) {
        warnings.push(`subtitles are transcoded: ${stream.codec} becomes ${container.subtitleCodec}`);
      }
    } else if (stream.kind === "attachment") {
      if (container.attachments && /^(ttf|otf|bin)/.test(stream.codec)) {
        map(stream);
        args.push(`-c:t:${attachments++}`, "copy");
      } else warnings.push(`an attached file (${stream.codec}) is dropped: .${muxerName} does not take it`);
    }
  }
  const tags = container.muxer !== "gif";
  if (tags) args.push("-map_metadata", "1", "-map_chapters", "1");
  else if (origin.extras.length > 0) {
    warnings.push(`${origin.extras.join(", ")} dropped: .${muxerName} has no place for them`);
  }
  if (origin.skipped && audio + subtitles > 0) args.push("-copypriorss", "0");

  // MP4 has no subtitles before time 0, and its writer is confused by them.
  if (origin.skipped && late.length > 0) late.push("-bsf:s", "noise=drop=lt(pts\\,0)");
  const shifted = opus && leadsIn(origin) && /^(webm|matroska)$/.test(container.muxer);
  return {
    inputArgs: shifted ? later(origin.inputArgs, 0.0065) : origin.inputArgs,
    args,
    late,
    needed: tags || args.length > 0,
    sound: audio > 0,
    warnings,
  };
}

/** ffmpeg's arguments of an input whose times are `seconds` later. */
function later(inputArgs: readonly string[], seconds: number): string[] {
  const at = inputArgs.indexOf("-itsoffset") + 1;
  if (at === 0) return ["-itsoffset", String(seconds), ...inputArgs];
  return inputArgs.with(at, (Number(inputArgs[at]) + seconds).toFixed(6));
}
