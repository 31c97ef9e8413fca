/**
 * What a terminal would obey instead of showing it: control characters (\p{Cc}: those of ISO 6429 from U+0080 too), marks
 * that turn the direction of text or show nothing (\p{Cf}), separators that end a line. Newline and tab stay. The two
 * joiners of letters (U+200C, U+200D) are text and stay as well.
 */
const OBEYED = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** Text of a server, a file or a person, fit for a screen, a log and a report: what would be obeyed is written out. */
export function printable(text: string): string {
  return text.replace(OBEYED, (char) => {
    const code = char.codePointAt(0) ?? 0
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}
