/** The descriptors of what a program prints, and of what it complains of. */
const STDOUT = 1
const STDERR = 2
/** Bytes of complaints that are read. */
const MOST_COMPLAINTS = 64 << 10

type Write = (...parts: number[]) => unknown

/**
 * What jq prints, taken out of its memory in pieces: the engine itself keeps a number for each byte, which is thirty times
 * as much memory as the text, outside of the limit.
 */
export class JqOutput {
  private readonly limit: number
  private parts: Buffer[] = []
  private bytes = 0
  private complaints = 0

  /** @param limit bytes of one answer */
  constructor(limit: number) {
    this.limit = limit
  }

  restart(): void {
    this.parts = []
    this.bytes = 0
    this.complaints = 0
  }

  /** @throws Error when it is too large */
  text(): string {
    if (this.bytes > this.limit) throw new Error('its results are larger than the memory it may take')
    const text = Buffer.concat(this.parts).toString('utf8')
    this.parts = []
    return text
  }

  /**
   * Takes the place of fd_write (WASI preview 1: descriptor, vectors, their number, where the bytes written are told).
   * What is beyond a limit counts as written.
   */
  write(memory: ArrayBuffer, original: Write, [fd, vectors, count, written]: number[]): unknown {
    if (fd !== STDOUT && fd !== STDERR) return original(fd, vectors, count, written)
    const view = new DataView(memory)
    let total = 0
    for (let i = 0; i < count; i++) total += view.getUint32(vectors + 8 * i + 4, true)
    if (fd === STDERR) {
      this.complaints += total
      if (this.complaints <= MOST_COMPLAINTS) return original(fd, vectors, count, written)
    } else {
      this.bytes += total
      if (this.bytes <= this.limit)
        for (let i = 0; i < count; i++) {
          const start = view.getUint32(vectors + 8 * i, true)
          this.parts.push(Buffer.from(memory.slice(start, start + view.getUint32(vectors + 8 * i + 4, true))))
        }
    }
    view.setUint32(written, total, true)
    return 0
  }
}
