import { isUtf8 } from 'node:buffer'
import { TextDecoder } from 'node:util'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { ByteFeed } from '@ferrite-migrate/protocol'

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'latin-1'

/** The bytes of a text as valid UTF-8, whatever they were; without a byte order mark. */
export class TextFeed {
  private readonly feed: ByteFeed
  private readonly asked: Encoding
  private encoding: Encoding | null = null
  private decoder: TextDecoder | null = null
  /** Bytes of a letter that is not complete. */
  private open: Buffer = Buffer.alloc(0)
  private read = 0
  private ended = false

  constructor(feed: ByteFeed, encoding: Encoding) {
    this.feed = feed
    this.asked = encoding
  }

  /** Null at the end. A chunk is valid until the next call. @throws MigrateError FM_IMPORT_ENCODING, FM_FILE_* */
  async next(): Promise<Buffer | null> {
    for (;;) {
      if (this.ended) return null
      let chunk = await this.feed.next()
      if (chunk === null) {
        this.ended = true
        const last = this.decoder === null ? this.open : Buffer.from(this.decoded(null))
        if (this.decoder === null && last.length > 0) throw this.wrong()
        return last.length === 0 ? null : last
      }
      if (this.encoding === null) chunk = this.begin(chunk)
      this.read += chunk.length
      const text = this.decoder === null ? this.checked(chunk) : Buffer.from(this.decoded(chunk))
      if (text.length > 0) return text
    }
  }

  private begin(chunk: Buffer): Buffer {
    const mark =
      chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf
        ? ({ encoding: 'utf-8', length: 3 } as const)
        : chunk[0] === 0xff && chunk[1] === 0xfe
          ? ({ encoding: 'utf-16le', length: 2 } as const)
          : chunk[0] === 0xfe && chunk[1] === 0xff
            ? ({ encoding: 'utf-16be', length: 2 } as const)
            : null
    this.encoding = mark?.encoding ?? this.asked
    if (this.encoding === 'utf-16le' || this.encoding === 'utf-16be')
      this.decoder = new TextDecoder(this.encoding, { fatal: true })
    return chunk.subarray(mark?.length ?? 0)
  }

  private decoded(chunk: Buffer | null): string {
    try {
      return chunk === null ? this.decoder!.decode() : this.decoder!.decode(chunk, { stream: true })
    } catch {
      throw this.wrong()
    }
  }

  private checked(chunk: Buffer): Buffer {
    if (this.encoding === 'latin-1') return Buffer.from(chunk.toString('latin1'))
    const data = this.open.length === 0 ? chunk : Buffer.concat([this.open, chunk])
    // A letter may be cut by the chunk's end: at most three bytes wait.
    let end = data.length
    for (let back = 1; back <= 3 && back <= data.length; back++) {
      const byte = data[data.length - back]
      if (byte < 0x80) break
      if (byte >= 0xc0) {
        const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
        if (needs > back) end = data.length - back
        break
      }
    }
    this.open = Buffer.from(data.subarray(end))
    const text = data.subarray(0, end)
    if (!isUtf8(text)) throw this.wrong()
    return text
  }

  private wrong(): MigrateError {
    return new MigrateError(
      'FM_IMPORT_ENCODING',
      `the text is no valid ${this.encoding} near byte ${this.read}`,
      'Say what it is: --encoding latin-1, utf-16le or utf-16be.',
    )
  }
}
