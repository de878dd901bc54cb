/**
 * The pictures that rendering gives to the sinks.
 *
 * @module
 */

/** A rendered picture: packed 8-bit channels, row-major, without padding. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** 3 for RGB, 4 for RGB with straight alpha. */
  readonly channels: 3 | 4;
  /** `width × height × channels` bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
}
