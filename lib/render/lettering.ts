/**
 * Letters for the labels of figures: glyphs of 5×7 dots.
 *
 * @module
 */

/** Dots a glyph is wide and high. */
const [GLYPH_WIDTH, GLYPH_HEIGHT] = [5, 7];

/** Dots from one glyph to the next. */
const PITCH = GLYPH_WIDTH + 1;

/** Signs that reach one dot below the line. */
const DESCENDING = "gpqy,";

/** Each glyph: its sign, then its rows from the top, five dots as one digit to the base 32. */
const GLYPHS: ReadonlyMap<string, string> = new Map(
  ("0ehjlphe 14c4444e 2eh1248v 3eh161he 426aiv22 5vgu11he 6egguhhe 7v124488 8ehhehhe 9ehhf11e " +
    "a00e1fhf bgguhhhu c00fgggf d11fhhhf e00ehvge f68u8888 g0fhhf1e hgguhhhh i40c444e j20622ic " +
    "kggikoki lc44444e m00qllll n00uhhhh o00ehhhe p0uhhugg q0fhhf11 r00moggg s00fge1u t88u8886 " +
    "u00hhhhf v00hhha4 w00hhlla x00ha4ah y0hhhf1e z00v248v Nhppljjh Puhhuggg Cfgggggf .00000cc " +
    ",0000c48 :0cc0cc0 ^4ah0000 /11248gg -000e000 =00v0v00 <248g842 >8421248 (2488842 )8422248 " +
    "%pp248jj").split(" ").map((entry) => [entry.charAt(0), entry.slice(1)]),
);

/** Pixels that a line of text is high where a dot is `scale` pixels. */
export function textHeight(scale: number): number {
  return (GLYPH_HEIGHT + 1) * scale;
}

/**
 * Calls back for each pixel of a text; signs without a glyph, as capitals of most letters, are drawn
 * as small letters or left blank.
 *
 * @param left column of the first pixel.
 * @param top row of the first pixel.
 */
export function letter(
  text: string,
  left: number,
  top: number,
  scale: number,
  dot: (x: number, y: number) => void,
): void {
  for (const [i, sign] of [...text].entries()) {
    const rows = GLYPHS.get(sign) ?? GLYPHS.get(sign.toLowerCase());
    if (rows === undefined) continue;
    const line = top + (DESCENDING.includes(sign) ? scale : 0);
    for (let y = 0; y < GLYPH_HEIGHT * scale; y++) {
      const bits = parseInt(rows.charAt(Math.floor(y / scale)), 32);
      for (let x = 0; x < GLYPH_WIDTH * scale; x++) {
        if (bits >> (GLYPH_WIDTH - 1 - Math.floor(x / scale)) & 1) {
          dot(left + i * PITCH * scale + x, line + y);
        }
      }
    }
  }
}
