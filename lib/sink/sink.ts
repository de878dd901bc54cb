/**
 * What every output is to the run that fills it.
 *
 * @module
 */

/** A place where a run's results go, one item a frame. */
export interface Sink<T> {
  /** What it writes to, for messages: a path, or `"stdout"`. */
  readonly output: string;
  /** True where pictures must come as planes. */
  readonly planar?: boolean;
  /** Where the unfinished output lies until `close()`; unset for stdout. */
  readonly partial?: string;
  /**
   * Takes the next item; resolves when the sink can take another. The item's arrays belong to the sink.
   *
   * @throws {ClosedPipe} If the reader of stdout has gone.
   * @throws {WalkcutError} If the output cannot be written; the partial output stays.
   */
  write(item: T): Promise<void>;
  /**
   * Finishes the output under its partial name, where that takes a while: so that several outputs of a run
   * get their names together, or none does.
   *
   * @param early True where the run ended before its source: sound must not go on then. Default false.
   */
  finish?(early?: boolean): Promise<void>;
  /** Finishes the output and gives it its name. */
  close(): Promise<void>;
  /** Ends early and makes playable what was done; never throws; safe after `close()` and twice. */
  abort(): Promise<void>;
}

/** A rendered picture. */
export interface Picture {
  /** Columns, in pixels. */
  readonly width: number;
  /** Rows, in pixels. */
  readonly height: number;
  /** Presentation time in ticks of the source's time base. */
  readonly pts: number;
  /** 3: RGB, 4: RGB and straight alpha. */
  readonly channels: 3 | 4;
  /** True where the data is brightness and, at half the size, two colour differences: 8-bit 4:2:0 of limited range. */
  readonly planar?: boolean;
  /** `width × height × channels` bytes, row-major. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The ids of one frame's pixels. */
export interface LabelMap {
  readonly width: number;
  readonly height: number;
  /** Presentation time in ticks of the source's time base. */
  readonly pts: number;
  /** Segment id of every pixel, `[height, width]` row-major. */
  readonly labels: Uint16Array<ArrayBuffer>;
}

/** The reader of stdout has gone. Not an error for people: the run ends quietly, with exit code 0. */
export class ClosedPipe extends Error {
  override name = "ClosedPipe";

  constructor() {
    super("The reader of stdout has closed it");
  }
}
