/**
 * Encoders in hardware: which this ffmpeg has, which of them work here, and how they are set.
 *
 * That ffmpeg lists one says nothing of the machine, so each is tried on one frame.
 *
 * @module
 */
import { DeviceError } from "../errors.ts";
import { type Ffmpeg, listCapabilities } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";

/** Kinds of hardware by the ends of their encoders' names, in order of preference. */
const KINDS = ["nvenc", "videotoolbox", "qsv", "amf", "vaapi", "mf", "v4l2m2m"] as const;

/** True for the name of an encoder in hardware. */
export function isHardware(codec: string): boolean {
  return KINDS.some((kind) => codec.endsWith(`_${kind}`));
}

/** What an encoder in hardware needs. */
export interface HardwareSetting {
  /** ffmpeg's arguments before its inputs. */
  readonly device: readonly string[];
  readonly pixelFormat: string;
  /** Filters from that format to the device. */
  readonly upload: readonly string[];
  readonly args: readonly string[];
}

/**
 * The settings of an encoder in hardware.
 *
 * @param quality Constant quality, as `--crf`; 20 without.
 */
export function hardwareSetting(codec: string, quality = 20, preset?: string): HardwareSetting {
  const kind = KINDS.find((kind) => codec.endsWith(`_${kind}`));
  const level = String(quality);
  const named = preset === undefined ? [] : ["-preset", preset];
  const plain = { device: [], pixelFormat: "yuv420p", upload: [] };
  switch (kind) {
    case "nvenc":
      return { ...plain, args: ["-rc", "vbr", "-cq", level, "-b:v", "0", ...named] };
    case "videotoolbox":
      // Its scale goes the other way, from 1 to 100.
      return { ...plain, args: ["-q:v", String(Math.max(1, Math.min(100, Math.round(100 - 2 * quality))))] };
    case "qsv":
      return { ...plain, pixelFormat: "nv12", args: ["-global_quality", level, ...named] };
    case "amf":
      return { ...plain, pixelFormat: "nv12", args: ["-rc", "cqp", "-qp_i", level, "-qp_p", level] };
    case "vaapi":
      return {
        device: ["-vaapi_device", "/dev/dri/renderD128"],
        pixelFormat: "nv12",
        upload: ["hwupload"],
        args: ["-qp", level],
      };
    default:
      return { ...plain, pixelFormat: "nv12", args: ["-b:v", "8M"] };
  }
}

/**
 * Finds an encoder in hardware for a container that works here.
 *
 * @param formats Codecs that the container takes, the best first, as `h264`.
 * @throws {DeviceError} If there is none; it says why for each that was tried.
 */
export async function findHardware(ffmpeg: Ffmpeg, formats: readonly string[]): Promise<string> {
  const have = await listCapabilities(ffmpeg, "encoders");
  const names = formats.flatMap((format) => KINDS.map((kind) => `${format}_${kind}`))
    .filter((name) => have.has(name));
  const reasons: string[] = [];
  for (const name of names) {
    const reason = await tryHardware(ffmpeg, name);
    if (reason === undefined) return name;
    reasons.push(`${name}: ${reason}`);
  }
  throw new DeviceError({
    what: "No encoder in hardware works here",
    found: reasons.join(", ") || `this ffmpeg has none for ${formats.join(" or ")}`,
    advice: "leave --codec out to encode on the CPU",
  });
}

/**
 * Checks that an encoder in hardware works here.
 *
 * @throws {DeviceError} If not, with ffmpeg's reason.
 */
export async function requireHardware(ffmpeg: Ffmpeg, codec: string): Promise<void> {
  const reason = await tryHardware(ffmpeg, codec);
  if (reason === undefined) return;
  throw new DeviceError({
    what: `${codec} does not work here`,
    found: reason,
    advice: "leave --codec out to encode on the CPU, or give --codec hardware for any that works",
  });
}

/** Encodes one frame; resolves with ffmpeg's reason where that fails. */
async function tryHardware(ffmpeg: Ffmpeg, codec: string): Promise<string | undefined> {
  const { device, pixelFormat, upload, args } = hardwareSetting(codec);
  const process = FfmpegProcess.spawn(ffmpeg, [
    ...[...device, "-f", "lavfi", "-i", "color=s=256x256:r=25:d=0.04", "-frames:v", "1"],
    ...["-vf", [`format=${pixelFormat}`, ...upload].join(","), "-c:v", codec, ...args, "-f", "null", "-"],
  ], { role: "trial" });
  try {
    if ((await process.ended).success) return undefined;
    // The first of its lines names the cause, the later ones what came of it.
    return process.lines.find(({ level }) => level === "error" || level === "fatal")?.text ??
      "it says nothing";
  } finally {
    await process.kill();
  }
}
