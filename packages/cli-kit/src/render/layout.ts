/** A terminal, or what its lines are led into. */
export interface Screen extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6])|\ufe0f/u
const NARROWEST = 20

/** Columns of a stream; a pipe has no end, for what reads it looks for whole lines. */
export function columnsOf(out: Pick<Screen, 'isTTY' | 'columns'>): number {
  return out.isTTY === true ? Math.max(NARROWEST, out.columns ?? 80) : Number.POSITIVE_INFINITY
}

/** Columns that a text takes: two for wide letters and signs, none for marks. */
export function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let sum = 0
  for (const { segment } of segmenter.segment(text)) sum += WIDE.test(segment) ? 2 : /^\p{M}/u.test(segment) ? 0 : 1
  return sum
}

const RULE = /^(?:═+|─+)$/
/** A list's mark, or the name of a row: what follows it hangs below its first letter. */
const HEAD = /^ *(?:(?:[•✅❌]|⚠️?) *|[^\s:][^:]{0,17}: +(?=\S))?/u

/**
 * Lines as a terminal of so many columns shows them: wrapped between words, rules cut.
 * @param hanging false = what follows a name or mark does not hang below its first letter
 */
export function fit(lines: readonly string[], columns: number, hanging = true): string[] {
  if (!Number.isFinite(columns)) return [...lines]
  return lines.flatMap((line) => {
    if (width(line) <= columns) return [line]
    return RULE.test(line) ? [line.slice(0, columns)] : wrapped(line, columns, hanging)
  })
}

function wrapped(line: string, columns: number, hanging: boolean): string[] {
  const indent = /^ */.exec(line)?.[0] ?? ''
  const named = hanging ? (HEAD.exec(line)?.[0] ?? '') : indent
  const head = width(named) <= columns * 0.6 ? named : indent.slice(0, 8)
  const hang = ' '.repeat(Math.min(width(head), Math.floor(columns * 0.4)))
  const out: string[] = []
  let row = head
  let filled = false
  for (let word of line.slice(Math.max(head.length, indent.length)).split(' ')) {
    for (;;) {
      const gap = filled ? ' ' : ''
      if (width(row + gap + word) <= columns) {
        row += gap + word
        filled = true
        break
      }
      if (filled) {
        out.push(row)
        row = hang
        filled = false
        continue
      }
      const cut = breakOf(word, columns - width(row))
      out.push(row + word.slice(0, cut))
      row = hang
      word = word.slice(cut)
    }
  }
  return row.trim() === '' ? out : [...out, row]
}

/** Where a word that is longer than a line ends: behind a separator if one is near, else anywhere. */
function breakOf(word: string, room: number): number {
  let at = 0
  let separator = 0
  let taken = 0
  for (const { segment } of segmenter.segment(word)) {
    taken += width(segment)
    if (taken > room) break
    at += segment.length
    if (/[/:,@=-]/.test(segment)) separator = at
  }
  return separator > at / 2 ? separator : Math.max(at, 1)
}

/**
 * Rows under heads, in columns as wide as what they hold. Where the terminal is too narrow for that, each row becomes a
 * block: its first cell, and below it the others with their names.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], columns: number): string[] {
  const widths = head.map((name, i) => Math.max(width(name), ...rows.map((row) => width(row[i]))))
  const total = widths.reduce((sum, one) => sum + one + 2, -2)
  const padded = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === cells.length - 1 ? cell : cell + ' '.repeat(widths[i] - width(cell) + 2))).join('')
  if (total <= columns) return [padded(head), ...rows.map(padded)]
  return rows.flatMap(([first, ...rest]) => [first, ...rest.map((cell, i) => `  ${head[i + 1]}: ${cell}`)])
}
