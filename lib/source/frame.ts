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

/** One decoded picture: packed 8-bit RGB, row-major, without padding. */
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
}

/** A stream of frames with constant memory: a frame is decoded when it is asked for. */
export interface VideoSource {
  readonly info: VideoInfo;
  /** The frames in order of presentation; may be iterated once. */
  frames(): AsyncIterable<Frame>;
  /** Ends the decoder and waits for it; safe to call twice and while iterating. */
  close(): Promise<void>;
}
