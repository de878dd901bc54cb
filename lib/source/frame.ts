/**
 * What a video source yields, and what it knows of itself.
 *
 * @module
 */

/** A ratio of two integers, as containers state rates and clocks. */
export interface Rational {
  readonly num: number;
  readonly den: number;
}

/**
 * One decoded picture: packed 8-bit RGB, row-major, without padding.
 *
 * The pixels of a decoded video are often made when `data` is read for the first time.
 */
export interface Frame {
  /** Position in the stream, from 0. */
  readonly index: number;
  /** Presentation time in ticks of the stream's {@linkcode VideoInfo.timeBase}. */
  readonly pts: number;
  /** Columns, in pixels. */
  readonly width: number;
  /** Rows, in pixels. */
  readonly height: number;
  /** `width × height × 3` bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What is known of a stream before its first frame. */
export interface VideoInfo {
  /** Size of the frames as they are shown (rotation applied), in pixels. */
  readonly width: number;
  readonly height: number;
  /** Seconds a tick: `num / den`. */
  readonly timeBase: Rational;
  /** Frames a second on average, where the container says. */
  readonly frameRate?: Rational;
  /** Number of frames, an estimate where the container does not say. */
  readonly frameCount?: number;
  /** Length in seconds, where known. */
  readonly duration?: number;
  /** Width over height of one pixel, where it is not square. */
  readonly sampleAspect?: Rational;
  /** True where the source is a still picture. */
  readonly still: boolean;
  /** Kinds of the source's other streams that an output could keep. */
  readonly audioStreams: number;
  readonly subtitleStreams: number;
  /** True where outputs may take frames as they are decoded, in 4:2:0, and not as RGB. */
  readonly planar?: boolean;
  /** Colours of the frames, as the tags of an encoded output should say them. */
  readonly color?: FrameColor;
  /** Where an output can copy sound, subtitles, chapters and metadata from; unset for pipes and pictures. */
  readonly origin?: Origin;
  /** What a pipe had beside its pictures, where that is put aside. */
  readonly aside?: Aside;
  /** Lines for the person at the prompt: tone-mapped, interlaced, guessed. */
  readonly notes?: readonly string[];
}

/** Colours of RGB frames, in ffmpeg's names. */
export interface FrameColor {
  /** Matrix with which an encoder should go back to YUV: the source's, or the one that was guessed. */
  readonly matrix: "bt709" | "smpte170m" | "bt470bg" | "bt2020nc";
  readonly primaries?: string;
  readonly transfer?: string;
}

/** The file or URL behind a source, for the streams that are not decoded. */
export interface Origin {
  /** ffmpeg's input arguments up to and with `-i`, the seek included, so that time 0 is the frames' time 0. */
  readonly inputArgs: readonly string[];
  /** ffmpeg's arguments for more outputs, after the real one, that need it as input 1. */
  readonly outputArgs: readonly string[];
  /** True where packets before time 0 belong to what was skipped, and not to the sound's lead-in. */
  readonly skipped: boolean;
  /** Names of ffmpeg's demuxer. */
  readonly format: string;
  /** Name for messages. */
  readonly name: string;
  readonly streams: readonly OriginStream[];
  /** What else the file holds, for people: `"chapters"`, and names of its tags such as `"title"`. */
  readonly extras: readonly string[];
  /** True where frames end at a number of frames, before the source does and at a time not known before. */
  readonly trimmed: boolean;
}

/** Streams and tags of a pipe that outputs get when their pictures are done. */
export interface Aside {
  /** True where frames end at their number, so that sound must be made to end there. */
  readonly counted: boolean;
  /**
   * Ends what is put aside, which the frames must have done before; a text says why there is nothing.
   *
   * @throws {FfmpegError} If it could not be kept.
   */
  origin(): Promise<Origin | string>;
}

/** One stream of a container. */
export interface OriginStream {
  readonly index: number;
  readonly kind: "video" | "audio" | "subtitle" | "data" | "attachment";
  /** ffmpeg's name of the codec. */
  readonly codec: string;
}

/** A stream of frames with constant memory: a frame is decoded when it is asked for. */
export interface VideoSource {
  readonly info: VideoInfo;
  /** The frames in order of presentation; may be iterated once. */
  frames(): AsyncIterable<Frame>;
  /** Ends the decoder and waits for it; safe to call twice and while iterating. */
  close(): Promise<void>;
}
