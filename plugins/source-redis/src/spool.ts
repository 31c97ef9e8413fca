import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { ByteFeed } from '@ferrite-migrate/protocol'

export interface SpoolOptions {
  readonly directory: string
  /** Bytes held in memory before the disk is used. */
  readonly memoryLimit: number
  /** Bytes that wait for the disk, above which reading had better rest. */
  readonly unflushedLimit: number
  /** Bytes held on disk; more is an error. */
  readonly diskLimit: number
}

/** A piece of memory that is read from the front while more is written behind. */
interface Slab {
  readonly data: Buffer
  start: number
  end: number
}

interface Segment {
  readonly file: FileHandle
  readonly path: string
  /** Bytes handed to the file, bytes that are in it, bytes read back. */
  size: number
  flushed: number
  read: number
}

const SLAB_BYTES = 256 << 10
const SEGMENT_BYTES = 64 << 20
const READ_BYTES = 1 << 20
/** Less than this is not written by itself: calls of the file system cost more than their bytes, and a reader may come first. */
const FLUSH_BYTES = 2 << 20
const MARK_EVERY_MS = 10
let serial = 0

/**
 * A queue of bytes between a socket that never waits and a reader that may: in memory up to a limit, then in segment
 * files, which vanish as they are read. Remembers when what arrived. What is pushed is copied, into memory that is used
 * again and again, so that nothing of the stream is garbage.
 */
export class Spool implements ByteFeed {
  /** After so long without bytes `next` gives an empty Buffer, so that a reader gets to look around; 0 = never. */
  idleMs = 0
  private readonly options: SpoolOptions
  private readonly flushBytes: number
  private readonly memory: Slab[] = []
  private memoryBytes = 0
  private readonly free: Slab[] = []
  /** The slab that the reader still looks at. */
  private lent: Slab | null = null
  private readonly segments: Segment[] = []
  private readBuffer: Buffer | null = null
  private unwritten: Slab[] = []
  private unwrittenBytes = 0
  private diskBytes = 0
  private writing: Promise<void> | null = null
  private wake: ((bytes: boolean) => void) | null = null
  private idle: NodeJS.Timeout | undefined
  private restUntil = 0
  private restOver: NodeJS.Timeout | null = null
  private ended = false
  private failure: MigrateError | null = null
  /** What was to be written is not on the disk, and never comes. */
  private lost = false
  private pushed = 0
  private readonly marks: { offset: number; at: number }[] = []

  constructor(options: SpoolOptions) {
    this.options = options
    this.flushBytes = Math.min(FLUSH_BYTES, options.unflushedLimit >> 1)
  }

  /** Bytes waiting to be read. */
  get waiting(): number {
    return this.memoryBytes + this.unwrittenBytes + this.diskBytes
  }

  /** So much waits for the disk that the socket had better rest. */
  get isFull(): boolean {
    return this.unwrittenBytes > this.options.unflushedLimit
  }

  push(chunk: Buffer): void {
    if (this.ended) return
    const now = Date.now()
    const last = this.marks.at(-1)
    if (last === undefined || now - last.at >= MARK_EVERY_MS) this.marks.push({ offset: this.pushed, at: now })
    this.pushed += chunk.length
    if (
      this.segments.length === 0 &&
      this.unwrittenBytes === 0 &&
      this.memoryBytes + chunk.length <= this.options.memoryLimit
    ) {
      this.collect(this.memory, chunk)
      this.memoryBytes += chunk.length
    } else {
      this.collect(this.unwritten, chunk)
      this.unwrittenBytes += chunk.length
      if (this.diskBytes + this.unwrittenBytes > this.options.diskLimit)
        this.fail(
          new MigrateError(
            'FM_SPOOL_FULL',
            `the target is more than ${this.options.diskLimit} bytes behind the source`,
            'Give more room with --spool-limit, or find out why the target is slow.',
          ),
        )
      else if (this.unwrittenBytes > this.flushBytes)
        this.writing ??= this.flush().finally(() => {
          this.writing = null
          this.notify()
        })
    }
    this.notify()
  }

  private collect(slabs: Slab[], chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      let slab = slabs.at(-1)
      if (slab === undefined || slab.end === SLAB_BYTES) {
        slab = this.free.pop() ?? { data: Buffer.allocUnsafeSlow(SLAB_BYTES), start: 0, end: 0 }
        slabs.push(slab)
      }
      const count = chunk.copy(slab.data, slab.end, at)
      slab.end += count
      at += count
    }
  }

  private recycle(slab: Slab): void {
    if (this.ended || this.free.length * SLAB_BYTES >= this.options.memoryLimit) return
    slab.start = 0
    slab.end = 0
    this.free.push(slab)
  }

  /** When the byte at this offset of the spool arrived, ms. Offsets must not go back. */
  arrivedAt(offset: number): number {
    const { marks } = this
    while (marks.length > 1 && marks[1].offset <= offset) marks.shift()
    return marks[0]?.at ?? Date.now()
  }

  /** Nothing comes any more. What waits can still be read, unless `drop`. */
  end(drop = false): void {
    this.ended = true
    if (drop) {
      this.memory.length = 0
      this.memoryBytes = 0
      this.free.length = 0
      this.unwritten = []
      this.unwrittenBytes = 0
      this.diskBytes = 0
    }
    this.notify()
  }

  /** The reader gets the error once it has read what waits. */
  fail(error: MigrateError): void {
    this.failure ??= error
    this.end()
  }

  /** `next` waits so long for what may still come, unless that is the end. */
  rest(ms: number): void {
    this.restUntil = performance.now() + ms
  }

  /** True while nothing may be read; whoever waits is then woken when that is over. */
  private get resting(): boolean {
    if (this.restOver !== null) return true
    const left = this.restUntil - performance.now()
    if (left <= 0 || this.ended) return false
    this.restOver = setTimeout(() => {
      this.restOver = null
      this.restUntil = 0
      this.wakeUp(true)
    }, left)
    return true
  }

  async next(): Promise<Buffer | null> {
    if (this.lent !== null) this.recycle(this.lent)
    this.lent = null
    if (this.waiting > 0 && this.resting && !(await this.woken())) return EMPTY
    for (;;) {
      if (this.memoryBytes > 0) return this.fromMemory()
      const segment = this.segments[0]
      if (segment !== undefined && segment.read < segment.flushed) return this.readBack(segment)
      if (
        segment !== undefined &&
        segment.read === segment.size &&
        (this.segments.length > 1 || this.unwrittenBytes === 0 || this.writing === null)
      ) {
        this.segments.shift()
        await segment.file.close()
        continue
      }
      if (segment === undefined && this.adopt()) continue
      // What was not written when the disk filled up never comes: only what is being written is waited for.
      if (this.failure !== null && this.writing === null) throw this.failure
      if (this.waiting === 0 && this.ended) return null
      if (!(await this.woken())) return EMPTY
    }
  }

  /** Takes what the disk does not have and need not get any more: the reader is there. */
  private adopt(): boolean {
    if (this.unwrittenBytes === 0 || this.writing !== null || this.lost) return false
    for (const slab of this.memory.splice(0)) this.recycle(slab)
    this.memory.push(...this.unwritten)
    this.memoryBytes = this.unwrittenBytes
    this.unwritten = []
    this.unwrittenBytes = 0
    return true
  }

  private fromMemory(): Buffer {
    const slab = this.memory[0]
    const chunk = slab.data.subarray(slab.start, slab.end)
    slab.start = slab.end
    this.memoryBytes -= chunk.length
    if (slab.end === SLAB_BYTES) {
      this.memory.shift()
      this.lent = slab
    }
    return chunk
  }

  /** Waits for bytes; false when `idleMs` went by without any. */
  private woken(): Promise<boolean> {
    return new Promise((resolve) => {
      this.wake = resolve
      if (this.idleMs === 0) return
      // One timer for all waits: most of them are short, and a timer made and cleared costs more than they do.
      if (this.idle === undefined) this.idle = setTimeout(() => this.wakeUp(false), this.idleMs)
      else this.idle.refresh()
    })
  }

  private async readBack(segment: Segment): Promise<Buffer> {
    const data = (this.readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES))
    const { bytesRead } = await segment.file.read(
      data,
      0,
      Math.min(data.length, segment.flushed - segment.read),
      segment.read,
    )
    if (bytesRead === 0)
      throw new MigrateError(
        'FM_SPOOL_DISK',
        'the spool file became shorter',
        'Look after the disk of the temporary directory.',
      )
    segment.read += bytesRead
    this.diskBytes = Math.max(0, this.diskBytes - bytesRead)
    return data.subarray(0, bytesRead)
  }

  private async flush(): Promise<void> {
    try {
      while (this.unwrittenBytes > this.flushBytes) {
        let segment = this.segments.at(-1)
        if (segment === undefined || segment.size >= SEGMENT_BYTES) {
          const path = join(this.options.directory, `spool-${process.pid}-${serial++}`)
          segment = { file: await open(path, 'wx+', 0o600), path, size: 0, flushed: 0, read: 0 }
          // Without a name it vanishes with the process, however that ends.
          await unlink(path)
          this.segments.push(segment)
        }
        const batch = this.unwritten
        const bytes = this.unwrittenBytes
        this.unwritten = []
        segment.size += bytes
        this.diskBytes += bytes
        this.unwrittenBytes -= bytes
        let at = segment.flushed
        for (let from = 0; from < batch.length; from += 512) {
          const slabs = batch.slice(from, from + 512)
          const part = slabs.map(({ data, end }) => data.subarray(0, end))
          const want = part.reduce((sum, chunk) => sum + chunk.length, 0)
          let { bytesWritten } = await segment.file.writev(part, at)
          if (bytesWritten < want) {
            const rest = Buffer.concat(part).subarray(bytesWritten)
            for (let done = 0; done < rest.length; )
              done += (await segment.file.write(rest, done, rest.length - done, at + bytesWritten + done)).bytesWritten
            bytesWritten = want
          }
          at += bytesWritten
          for (const slab of slabs) this.recycle(slab)
        }
        segment.flushed = at
        this.notify()
      }
    } catch (cause) {
      this.lost = true
      this.fail(
        new MigrateError(
          'FM_SPOOL_DISK',
          `the spool in ${this.options.directory} cannot be written: ${(cause as Error).message}`,
          'Free some disk space, or set TMPDIR to a larger disk.',
          { cause },
        ),
      )
    }
  }

  private notify(): void {
    if (this.ended || !this.resting) this.wakeUp(true)
  }

  private wakeUp(bytes: boolean): void {
    this.wake?.(bytes)
    this.wake = null
  }

  async close(): Promise<void> {
    this.end(true)
    clearTimeout(this.idle)
    if (this.restOver !== null) clearTimeout(this.restOver)
    await this.writing
    for (const segment of this.segments.splice(0)) await segment.file.close()
  }
}

const EMPTY = Buffer.alloc(0)
