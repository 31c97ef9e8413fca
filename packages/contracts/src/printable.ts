/**
 * What a terminal would obey instead of showing it: control characters (those of ISO 6429 from U+0080 too), marks that turn
 * the direction of text, separators that end a line. Newline and tab stay.
 */
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g

/** Text of a server, a file or a person, fit for a screen, a log and a report: what would be obeyed is written out. */
export function printable(text: string): string {
  return text.replace(OBEYED, (char) => {
    const code = char.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}
