import { once } from 'node:events'
import { createWriteStream, rmSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { MigrateError } from '@ferrite-migrate/contracts'
import { besides, PRIVATE_FILE } from '@ferrite-migrate/files'

const FLUSH_BYTES = 256 << 10

/**
 * A file that is there when it is whole: it is written beside its name and renamed at the end. `-` is standard output; .gz and
 * .zst are compressed.
 */
export class ByteSink {
  /** Bytes before compression. */
  byteLength = 0
  private readonly path: string
  private readonly part: string
  private readonly file: Writable
  private readonly out: Writable
  private pending: Buffer[] = []
  private pendingBytes = 0
  private failure: unknown

  constructor(path: string) {
    this.path = path
    this.part = besides(path)
    this.file = path === '-' ? process.stdout : createWriteStream(this.part, { flags: 'wx', mode: PRIVATE_FILE })
    const through = compressor(path)
    const failed = (error: Error): void => {
      this.failure ??= error
      // Whoever waits for either of them waits no more.
      through?.destroy(error)
    }
    this.file.on('error', failed)
    if (through !== null) {
      through.pipe(this.file)
      through.on('error', failed)
    }
    this.out = through ?? this.file
  }

  /** Takes the Buffer; it must not change afterwards. */
  write(bytes: Buffer | string): void {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    this.pending.push(buffer)
    this.pendingBytes += buffer.length
    this.byteLength += buffer.length
  }

  get full(): boolean {
    return this.pendingBytes >= FLUSH_BYTES
  }

  /** Waits while the disk is behind. @throws MigrateError FM_FILE_UNWRITABLE */
  async flush(): Promise<void> {
    if (this.failure !== undefined) throw this.unwritable(this.failure)
    if (this.pendingBytes === 0) return
    const data = Buffer.concat(this.pending, this.pendingBytes)
    this.pending = []
    this.pendingBytes = 0
    if (!this.out.write(data))
      await once(this.out, 'drain').catch((error: unknown) => {
        throw this.unwritable(this.failure ?? error)
      })
  }

  async end(): Promise<void> {
    await this.flush()
    if (this.out === process.stdout) return
    try {
      this.out.end()
      if (this.path === '-') return
      await finished(this.file)
      await rename(this.part, this.path)
    } catch (error) {
      throw this.unwritable(error)
    }
  }

  /** Nothing of it stays. */
  drop(): void {
    if (this.path === '-') return
    this.file.destroy()
    rmSync(this.part, { force: true })
  }

  private unwritable(cause: unknown): MigrateError {
    if (cause instanceof MigrateError) return cause
    return new MigrateError(
      'FM_FILE_UNWRITABLE',
      `${this.path} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Give another path.',
      { cause },
    )
  }
}

function compressor(path: string): (Writable & NodeJS.ReadWriteStream) | null {
  if (path.endsWith('.gz')) return zlib.createGzip()
  if (!/\.zstd?$/.test(path)) return null
  const { createZstdCompress } = zlib as { createZstdCompress?: typeof zlib.createGzip }
  if (createZstdCompress === undefined)
    throw new MigrateError('FM_FILE_COMPRESSION', 'this Node knows no zstd', 'Use Node 22.15 or newer, or .gz.')
  return createZstdCompress()
}
