import { MigrateError } from '@ferrite-migrate/contracts'

/** One object of a JSON text: its bytes, and the line it starts in. */
export interface JsonPiece {
  readonly text: string
  readonly line: number
}

const MOST_BYTES = 64 << 20
const MOST_DEPTH = 1000
const LF = 10
const QUOTE = 34
const BACKSLASH = 92

/** `{"data": [{`: rows that an interface has wrapped. */
const WRAPPED = /^\s*\{\s*"(?:data|items|rows|records|results|entries|documents|docs)"\s*:\s*\[(?=\s*(?:\{|\]))/
const WRAPPER_BYTES = 256

/**
 * Cuts a JSON text into the elements that are its rows as chunks come: those of an array, of an array that is wrapped in an
 * object ({"data": [...]}), objects one after the other, or one a line. Only strings and depth are looked at; the elements
 * are parsed by whoever gets them.
 */
export class JsonPieces {
  private readonly lines: boolean
  private rest: Buffer = Buffer.alloc(0)
  private line = 1
  /** Inside the array. */
  private opened = false
  private closed = false
  /** Objects follow one another, without an array around them. */
  private bare = false
  /** The array is in an object, whose other fields are passed over. */
  private wrapped = false
  private ending = false

  /** @param lines one element a line, instead of an array */
  constructor(lines: boolean) {
    this.lines = lines
  }

  /** @throws MigrateError FM_IMPORT_FORMAT */
  push(chunk: Buffer): JsonPiece[] {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    const pieces: JsonPiece[] = []
    const used = this.lines ? this.cutLines(data, pieces) : this.cutArray(data, pieces)
    // The chunk's memory is another's.
    this.rest = Buffer.from(data.subarray(used))
    if (this.rest.length > MOST_BYTES)
      throw new MigrateError('FM_IMPORT_FORMAT', `line ${this.line}: an element is larger than 64 MiB`, 'Is it JSON?')
    return pieces
  }

  /** What is left at the end. @throws MigrateError FM_IMPORT_FORMAT when the file breaks off */
  end(): JsonPiece[] {
    this.ending = true
    const pieces: JsonPiece[] = []
    if (!this.lines && !this.opened && this.rest.length > 0) {
      const used = this.cutArray(this.rest, pieces)
      this.rest = this.rest.subarray(used)
    }
    return [...pieces, ...this.last()]
  }

  private last(): JsonPiece[] {
    const left = this.rest.toString('utf8').trim()
    if (this.lines || this.bare) return left === '' ? [] : [{ text: left, line: this.line }]
    if (this.wrapped && this.closed && /^(,[\s\S]*)?\}$/.test(left)) return []
    if (!this.closed || left !== '')
      throw new MigrateError(
        'FM_IMPORT_FORMAT',
        this.closed
          ? `line ${this.line}: something follows the array`
          : `line ${this.line}: the file ends inside the array`,
        'The file is cut or damaged: take it again from where it was made.',
      )
    return []
  }

  private cutLines(data: Buffer, pieces: JsonPiece[]): number {
    let start = 0
    for (let end = data.indexOf(LF); end >= 0; end = data.indexOf(LF, start)) {
      const stop = data[end - 1] === 13 ? end - 1 : end
      if (stop > start) {
        const text = data.toString('utf8', start, stop)
        if (text.trim() !== '') pieces.push({ text, line: this.line })
      }
      this.line++
      start = end + 1
    }
    return start
  }

  private cutArray(data: Buffer, pieces: JsonPiece[]): number {
    let at = 0
    while (at < data.length) {
      const byte = data[at]
      if (byte === LF) this.line++
      if (byte <= 32 || (this.opened && !this.closed && byte === 44)) {
        at++
        continue
      }
      if (this.closed) return at
      if (!this.opened) {
        if (byte === 123 && data.length - at < WRAPPER_BYTES && !this.ending) return at
        const wrapper = byte === 123 ? WRAPPED.exec(data.toString('latin1', at, at + WRAPPER_BYTES)) : null
        if (byte !== 91 && byte !== 123)
          throw new MigrateError(
            'FM_IMPORT_FORMAT',
            `line ${this.line}: a JSON file must hold objects, or an array of them`,
            'Is it JSON? Name the layout with --format.',
          )
        this.opened = true
        this.wrapped = wrapper !== null
        this.bare = byte === 123 && wrapper === null
        if (!this.bare) at += wrapper?.[0].length ?? 1
        continue
      }
      if (byte === 93 && !this.bare) {
        this.closed = true
        at++
        continue
      }
      const { end, lines } = elementEnd(data, at)
      if (end < 0) return at
      pieces.push({ text: data.toString('utf8', at, end), line: this.line })
      this.line += lines
      at = end
    }
    return at
  }
}

/** Where the element that starts at `at` ends; -1 = not yet. */
function elementEnd(data: Buffer, at: number): { end: number; lines: number } {
  let depth = 0
  let lines = 0
  for (let i = at; i < data.length; i++) {
    const byte = data[i]
    if (byte === QUOTE) {
      for (i++; i < data.length && data[i] !== QUOTE; i++) {
        if (data[i] === BACKSLASH) i++
        else if (data[i] === LF) lines++
      }
      if (i >= data.length) break
      if (depth === 0) return { end: i + 1, lines }
    } else if (byte === 123 || byte === 91) {
      if (++depth > MOST_DEPTH)
        throw new MigrateError('FM_IMPORT_FORMAT', 'an element is nested more than 1000 deep', 'Is it the right file?')
    } else if (byte === 125 || byte === 93) {
      if (depth === 0) return { end: i, lines }
      if (--depth === 0) return { end: i + 1, lines }
    } else if (byte === LF) {
      if (depth === 0) return { end: i, lines }
      lines++
    } else if (depth === 0 && (byte === 44 || byte <= 32)) return { end: i, lines }
  }
  return { end: -1, lines: 0 }
}
