import { damagedReply, MAX_BULK, MAX_ELEMENTS, MAX_LINE, MAX_NESTING } from './resp-bounds.js'

/** Bytes kept of a line: enough for any error that a person reads. */
const KEPT_LINE = 4096

/** The size that a line announces; NaN where it is none. */
function sizeOf(line: string): number {
  const stop = line.endsWith('\r\n') ? line.length - 2 : line.length - 1
  if (stop === 2 && line.startsWith('-1')) return -1
  if (stop < 1 || stop > 15) return Number.NaN
  let size = 0
  for (let i = 0; i < stop; i++) {
    const digit = line.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    size = size * 10 + digit
  }
  return size
}

/**
 * Matches replies to commands by count alone: of each top-level reply it only keeps whether it holds an error, and
 * which. This is the hot path of writing: no object a reply. `onError` gets the index of the top-level reply, the
 * index inside it (EXEC; -1 at top level) and the error's text. `onNil` tells of nil replies at top level, `onArray` how
 * many elements an array at top level announces (what EXEC answers). Lines, sizes and nesting are bounded.
 */
export class ReplyCounter {
  /** Complete top-level replies so far. */
  count = 0
  private readonly onError: (index: number, inner: number, text: string) => void
  private readonly onNil: (index: number) => void
  private readonly onTop: ((index: number) => void) | null
  private readonly onArray: ((index: number, size: number) => void) | null
  private lineBytes = 0
  private line = ''
  private mark = 0
  private skip = 0
  private state: State = 0
  private readonly left: number[] = []
  private inner = 0

  constructor(
    onError: (index: number, inner: number, text: string) => void,
    onNil: (index: number) => void,
    onTop: ((index: number) => void) | null = null,
    onArray: ((index: number, size: number) => void) | null = null,
  ) {
    this.onError = onError
    this.onNil = onNil
    this.onTop = onTop
    this.onArray = onArray
  }

  /** @throws MigrateError FM_RESP_PROTOCOL */
  push(data: Buffer): void {
    const end = data.length
    let at = 0
    while (at < end) {
      if (this.state === State.mark) {
        // By far the most common replies, +OK and +QUEUED, in one step.
        if (data[at] === 43) {
          if (at + 4 < end && data[at + 1] === 79 && data[at + 3] === 13) {
            at += 5
            this.done()
            continue
          }
          if (at + 8 < end && data[at + 1] === 81 && data[at + 7] === 13) {
            at += 9
            this.done()
            continue
          }
        } else if (data[at] === 58) {
          let stop = at + 2
          while (stop < end && data[stop] !== 13) stop++
          if (stop + 1 < end) {
            at = stop + 2
            this.done()
            continue
          }
        }
        this.mark = data[at++]
        this.line = ''
        this.lineBytes = 0
        this.state = State.line
      } else if (this.state === State.line) {
        const lineEnd = data.indexOf(10, at)
        const stop = lineEnd < 0 ? end : lineEnd + 1
        this.lineBytes += stop - at
        if (this.lineBytes > MAX_LINE) throw damagedReply('a line without end')
        if (this.line.length < KEPT_LINE) this.line += data.toString('latin1', at, Math.min(stop, at + KEPT_LINE))
        at = stop
        if (lineEnd >= 0) this.endOfLine()
      } else {
        const count = Math.min(this.skip, end - at)
        at += count
        this.skip -= count
        if (this.skip === 0) this.done()
      }
    }
  }

  private endOfLine(): void {
    this.state = State.mark
    switch (this.mark) {
      case 43:
      case 58:
      case 44:
      case 35:
      case 95:
      case 40:
        return this.done()
      case 45:
        this.onError(this.count, this.left.length > 0 ? this.inner : -1, this.line.trimEnd())
        return this.done()
      case 36:
      case 42: {
        const size = sizeOf(this.line)
        if (!(size <= (this.mark === 42 ? MAX_ELEMENTS : MAX_BULK)))
          throw damagedReply(`a size of ${this.line.trimEnd().slice(0, 40)}`)
        if (this.mark === 42 && this.left.length === 0 && size >= 0) this.onArray?.(this.count, size)
        if (size === -1 || (size === 0 && this.mark === 42)) {
          if (size === -1 && this.left.length === 0) this.onNil(this.count)
          return this.done()
        }
        if (this.mark === 42) {
          if (this.left.length >= MAX_NESTING) throw damagedReply('nesting without end')
          if (this.left.length === 0) this.inner = 0
          this.left.push(size)
          return
        }
        this.skip = size + 2
        this.state = State.skip
        return
      }
    }
    throw damagedReply(`a reply that starts with byte ${this.mark}`)
  }

  private done(): void {
    this.state = State.mark
    const left = this.left
    let depth = left.length
    while (depth > 0) {
      if (depth === 1) this.inner++
      if (--left[depth - 1] > 0) return
      left.pop()
      depth--
    }
    const index = this.count++
    if (this.onTop !== null) this.onTop(index)
  }
}

const State = { mark: 0, line: 1, skip: 2 } as const
type State = (typeof State)[keyof typeof State]
