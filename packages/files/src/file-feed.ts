import { createReadStream } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import * as zlib from 'node:zlib'
import { createGunzip } from 'node:zlib'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { ByteFeed } from '@ferrite-migrate/protocol'

export type Compression = 'none' | 'gzip' | 'zstd'

const READ_BYTES = 256 << 10

function unreadable(path: string, cause: unknown): MigrateError {
  const { code } = cause as NodeJS.ErrnoException
  const what: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'it may not be read',
    EISDIR: 'it is a directory',
  }
  return new MigrateError(
    'FM_FILE_UNREADABLE',
    `${path === '-' ? 'standard input' : path}: ${what[code ?? ''] ?? (cause as Error).message}`,
    'Check the path and its permissions.',
    { cause },
  )
}

/** A path of a `scheme:///path` connection string, or of a plain argument; `-` is standard input. */
export function filePathOf(url: string): string {
  const match = /^[a-z][a-z0-9+.-]*:\/\/([^?]*)/i.exec(url)
  if (match === null) return url
  const path = match[1]
  if (path === '' || path === '-') return '-'
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** A connection string for a path, which becomes absolute: who goes on later may stand elsewhere. `-` stays. */
export function fileUrlOf(scheme: string, path: string): string {
  const whole = path === '-' ? path : resolve(path)
  return `${scheme}://${whole.split('/').map(encodeURIComponent).join('/')}`
}

/**
 * The bytes of a file or of standard input, inflated where they are gzip or zstd (told by their first bytes). A plain
 * file is read through one reused buffer: a chunk is valid until the next call.
 */
export class FileFeed implements ByteFeed {
  readonly path: string
  readonly compression: Compression
  /** Bytes of the file, null for standard input. */
  readonly size: number | null
  /** Bytes read of the file as it lies on the disk. */
  read = 0
  private readonly file: FileHandle | null
  private readonly stream: Readable | null
  private readonly iterator: AsyncIterator<Buffer> | null
  private readonly buffer: Buffer
  private position: number

  private constructor(
    path: string,
    compression: Compression,
    size: number | null,
    file: FileHandle | null,
    stream: Readable | null,
    position: number,
  ) {
    this.path = path
    this.compression = compression
    this.size = size
    this.file = file
    this.stream = stream
    this.iterator = stream === null ? null : (stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>)
    this.buffer = Buffer.allocUnsafeSlow(file === null ? 0 : READ_BYTES)
    this.position = position
  }

  /**
   * @param from where in the inflated bytes to start; a compressed file is inflated up to there
   * @throws MigrateError FM_FILE_UNREADABLE, FM_FILE_COMPRESSION
   */
  static async open(path: string, from = 0): Promise<FileFeed> {
    if (path === '-') return FileFeed.standardInput()
    let file: FileHandle
    let size: number
    try {
      const facts = await stat(path)
      if (facts.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
      size = facts.size
      file = await open(path, 'r')
    } catch (cause) {
      throw unreadable(path, cause)
    }
    const magic = Buffer.alloc(4)
    await file.read(magic, 0, 4, 0)
    const compression = compressionOf(magic)
    if (compression === 'none') return new FileFeed(path, compression, size, file, null, from)
    await file.close()
    const raw = createReadStream(path, { highWaterMark: READ_BYTES })
    const feed = new FileFeed(path, compression, size, null, inflate(raw, compression), 0)
    raw.on('data', (chunk) => {
      feed.read += chunk.length
    })
    await feed.skip(from)
    return feed
  }

  private static async standardInput(): Promise<FileFeed> {
    const first = await new Promise<Buffer | null>((resolve) => {
      const { stdin } = process
      const look = (): void => {
        const chunk = stdin.read() as Buffer | null
        if (chunk === null) {
          stdin.once('readable', look)
          return
        }
        stdin.unshift(chunk)
        resolve(chunk)
      }
      stdin.once('readable', look)
      stdin.once('end', () => resolve(null))
    })
    const compression = first === null ? 'none' : compressionOf(first)
    return new FileFeed(
      '-',
      compression,
      null,
      null,
      compression === 'none' ? process.stdin : inflate(process.stdin, compression),
      0,
    )
  }

  async next(): Promise<Buffer | null> {
    try {
      if (this.file !== null) {
        const { bytesRead } = await this.file.read(this.buffer, 0, READ_BYTES, this.position)
        if (bytesRead === 0) return null
        this.position += bytesRead
        this.read = this.position
        return this.buffer.subarray(0, bytesRead)
      }
      const { value, done } = await this.iterator!.next()
      return done ? null : value
    } catch (cause) {
      if (
        /^(Z_|ERR_)|zstd|unexpected end/i.test(`${(cause as { code?: string }).code ?? ''}${(cause as Error).message}`)
      )
        throw new MigrateError(
          'FM_FILE_COMPRESSION',
          `${this.path}: the ${this.compression} data is damaged or cut: ${(cause as Error).message}`,
          'Take the file again from where it was made.',
          { cause },
        )
      throw unreadable(this.path, cause)
    }
  }

  async close(): Promise<void> {
    await this.file?.close()
    this.stream?.destroy()
  }

  private async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const chunk = await this.next()
      if (chunk === null) return
      if (chunk.length > left) this.stream!.unshift(chunk.subarray(left))
      left -= chunk.length
    }
  }
}

function compressionOf(magic: Buffer): Compression {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return 'gzip'
  return magic.length >= 4 && magic.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none'
}

function inflate(raw: Readable, compression: Compression): Readable {
  if (compression === 'gzip') return pipe(raw, createGunzip({ chunkSize: READ_BYTES }))
  const { createZstdDecompress } = zlib as { createZstdDecompress?: typeof zlib.createGunzip }
  if (createZstdDecompress === undefined)
    throw new MigrateError(
      'FM_FILE_COMPRESSION',
      'this Node knows no zstd',
      'Use Node 22.15 or newer, or pipe the file through zstd -dc and read standard input.',
    )
  return pipe(raw, createZstdDecompress({ chunkSize: READ_BYTES }))
}

/** Errors of the file reach whoever reads the inflated bytes. */
function pipe(raw: Readable, through: NodeJS.ReadWriteStream & Readable): Readable {
  raw.once('error', (error) => through.destroy(error))
  raw.pipe(through)
  return through
}
