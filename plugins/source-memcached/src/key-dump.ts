import { closeSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open as openFile, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { MemcachedLink } from './memcached-link.js'

/** One line of a dump. */
export interface DumpedKey {
  readonly key: Buffer
  /** Absolute unix s, -1 = none. */
  readonly expireAt: number
  /** A number that changes whenever value or expiry do, as far as 32 bits tell. */
  readonly stamp: number
}

const BUSY_TRIES = 100
const BUSY_MS = 200
/** Dumps that may break off in a row. */
const FAILURES = 3
/** Lines beyond twice the items that a server says it has: it goes on taking more meanwhile. */
const MORE_LINES = 100_000
const LF = 10
const PAGE = 1000
const READ_BYTES = 256 << 10

/** How a crawler walks: over the hash table, or over the lists, in which items move while they are read. */
export type Walk = 'hash' | 'all'

/**
 * All keys of a server, by its LRU crawler. The lines go to a file at the server's pace, so that neither a slow target holds
 * the crawler nor memory grows with the keys. They may be read from the first one on, while more are written.
 */
export class KeyDump {
  /** Items that the server said it has. */
  readonly items: number
  readonly walk: Walk
  /** Seconds that the server's clock is ahead of this machine's, as it seemed when the list began. */
  readonly clockAhead: number
  private readonly link: MemcachedLink
  private readonly file: string
  /** Bytes of whole lines that are in the file. */
  private bytes = 0
  private over = false
  private failure: unknown = null
  private grown = Promise.withResolvers<void>()

  private constructor(link: MemcachedLink, file: string, walk: Walk, stats: ReadonlyMap<string, string>) {
    this.link = link
    this.file = file
    this.walk = walk
    this.items = Number(stats.get('curr_items') ?? 0)
    const now = Math.floor(Date.now() / 1000)
    this.clockAhead = Number(stats.get('time') ?? now) - now
  }

  /** A whole dump. @throws MigrateError FM_MEMCACHED_CRAWLER when the server lists no keys, FM_CONNECT_* */
  static async take(open: () => Promise<MemcachedLink>, file: string, signal: AbortSignal): Promise<KeyDump> {
    for (let failures = 1; ; failures++) {
      const dump = await KeyDump.begin(open, file, signal)
      try {
        await dump.whole()
        return dump
      } catch (error) {
        if (!(error instanceof MigrateError) || !error.retryable || failures >= FAILURES) throw error
        await sleep(BUSY_MS, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  /** A dump that has begun: `pages` gives the keys as they come. @throws as `take` */
  static async begin(open: () => Promise<MemcachedLink>, file: string, signal: AbortSignal): Promise<KeyDump> {
    let walk: Walk = 'hash'
    let refusal = ''
    let failures = 0
    for (let attempt = 0; attempt < BUSY_TRIES && !signal.aborted; attempt++) {
      let link: MemcachedLink | null = await open()
      try {
        const stats = await link.stats()
        link.send(`lru_crawler metadump ${walk}\r\n`)
        const first = await link.lines()
        const text = first.toString('latin1', 0, Math.min(first.length, 200)).trim()
        if (text.startsWith('BUSY')) {
          refusal = text
          await sleep(BUSY_MS, undefined, { signal }).catch(() => undefined)
          continue
        }
        if (/^(ERROR|CLIENT_ERROR)/.test(text)) {
          refusal = text
          // `hash` came with 1.6.9; and a crawler may be switched off.
          if (walk === 'hash') walk = 'all'
          else if ((await link.call('lru_crawler enable')) !== 'OK') break
          continue
        }
        const dump = new KeyDump(link, file, walk, stats)
        void dump.write(first)
        link = null
        return dump
      } catch (error) {
        if (!(error instanceof MigrateError) || !error.retryable) throw error
        if (++failures >= FAILURES) throw error
        refusal = error.message
        await sleep(BUSY_MS, undefined, { signal }).catch(() => undefined)
      } finally {
        link?.close()
      }
    }
    throw new MigrateError(
      'FM_MEMCACHED_CRAWLER',
      `the server does not list its keys: ${refusal.slice(0, 120)}`,
      'It needs version 1.4.31 and its LRU crawler (-o lru_crawler); else give the keys by --source-option keys-file=FILE.',
      { retryable: /BUSY/.test(refusal) },
    )
  }

  /** Never throws: what went wrong is for whoever reads. */
  private async write(first: Buffer): Promise<void> {
    try {
      await this.writeAll(first)
    } catch (cause) {
      this.failure = cause instanceof MigrateError ? cause : this.lost(cause)
    } finally {
      this.link.close()
      this.over = true
      this.grown.resolve()
    }
  }

  /** @throws MigrateError FM_CONNECT_* when the connection ends before the dump, FM_MEMCACHED_PROTOCOL when that has no end */
  private async writeAll(first: Buffer): Promise<void> {
    const most = 2 * this.items + MORE_LINES
    let count = 0
    const out = openSync(this.file, 'w', 0o600)
    try {
      for (let lines = first; ; lines = await this.link.lines()) {
        for (let at = lines.indexOf(LF); at >= 0; at = lines.indexOf(LF, at + 1)) count++
        // A view of what was received: it is written before more is asked for.
        for (let done = 0; done < lines.length; ) done += writeSync(out, lines, done)
        this.bytes += lines.length
        this.grown.resolve()
        this.grown = Promise.withResolvers<void>()
        if (endsDump(lines)) return
        if (count > most) throw this.link.strange('a list of keys without an end')
      }
    } finally {
      closeSync(out)
    }
  }

  /** This error is that of a list which broke off, the server or the way to it being lost: it may be taken anew. */
  brokeOffBy(error: unknown): boolean {
    return error === this.failure && error instanceof MigrateError && error.retryable
  }

  /** Waits for its end. @throws MigrateError FM_CONNECT_*, FM_MEMCACHED_PROTOCOL, FM_SPOOL_DISK */
  async whole(): Promise<void> {
    while (!this.over) await this.grown.promise
    if (this.failure !== null) throw this.failure
  }

  /** The keys in pages. @throws MigrateError as `whole`, behind what came before */
  async *pages(): AsyncGenerator<DumpedKey[]> {
    let page: DumpedKey[] = []
    const data = Buffer.allocUnsafeSlow(READ_BYTES)
    // Bytes of a line that is not whole yet, at the front of `data`.
    let rest = 0
    let read = 0
    let file: FileHandle | null = null
    try {
      while (!this.over || read < this.bytes) {
        if (read === this.bytes) {
          await this.grown.promise
          continue
        }
        file ??= await openFile(this.file)
        const want = Math.min(data.length - rest, this.bytes - read)
        const { bytesRead } = await file.read(data, rest, want, read)
        if (bytesRead === 0) throw this.lost()
        read += bytesRead
        const length = rest + bytesRead
        let start = 0
        for (let end = data.indexOf(LF); end >= 0 && end < length; end = data.indexOf(LF, start)) {
          const key = parseLine(data, start, end)
          start = end + 1
          if (key === null) continue
          page.push(key)
          if (page.length < PAGE) continue
          yield page
          page = []
        }
        data.copyWithin(0, start, length)
        rest = length - start
        if (rest === data.length) throw this.link.strange('a key that is longer than any')
      }
      if (page.length > 0) yield page
      await this.whole()
    } finally {
      await file?.close()
    }
  }

  /** Ends it, if it has not ended. */
  async remove(): Promise<void> {
    this.link.close()
    while (!this.over) await this.grown.promise
    await rm(this.file, { force: true })
  }

  private lost(cause?: unknown): MigrateError {
    return new MigrateError(
      'FM_SPOOL_DISK',
      `the list of keys in ${this.file} ${cause instanceof Error ? `cannot be written: ${cause.message}` : 'became shorter'}`,
      'Free some disk space, or set TMPDIR to a larger disk.',
      { cause },
    )
  }
}

function endsDump(lines: Buffer): boolean {
  return lines.length >= 4 && /(?:^|\n)END\r?\n$/.test(lines.toString('latin1', Math.max(0, lines.length - 6)))
}

const KEY_BYTES = 'key='.length
const EXP = 'e'.charCodeAt(0)
const CAS = 'a'.charCodeAt(0)
const SPACE = 32
const PERCENT = 37
const MINUS = 45

/**
 * `key=<URL-encoded> exp=<unix s|-1> la=… cas=… fetch=… cls=… size=… [flags=…]`; the last line is END. Works on bytes: a dump
 * has a line for every key of a server.
 */
export function parseLine(data: Buffer, start: number, end: number): DumpedKey | null {
  if (data[start] !== 107 || data[start + 3] !== 61) return null
  const space = data.indexOf(SPACE, start)
  const keyEnd = space < 0 || space > end ? end : space
  // ` exp=` and ` cas=` are told from ` la=`, ` fetch=`, ` cls=` by one letter and the place of their `=`.
  const expAt = fieldAt(data, 1, EXP, keyEnd, end)
  const casAt = fieldAt(data, 2, CAS, keyEnd, end)
  let expireAt = -1
  if (expAt >= 0 && data[expAt] !== MINUS) {
    expireAt = 0
    for (let at = expAt; data[at] >= 48 && data[at] <= 57; at++) expireAt = expireAt * 10 + data[at] - 48
  }
  // Two numbers of any size as one of 32 bits.
  let stamp = Math.imul(expireAt | 0, 0x9e3779b1)
  if (casAt >= 0)
    for (let at = casAt; data[at] >= 48 && data[at] <= 57; at++) stamp = Math.imul(stamp ^ data[at], 0x01000193)
  return { key: unescapedBytes(data, start + KEY_BYTES, keyEnd), expireAt, stamp: stamp | 0 }
}

/** Where the value of a field with a name of three letters starts, -1 = it is not there. */
function fieldAt(data: Buffer, place: number, letter: number, start: number, end: number): number {
  for (let at = start; at + 4 < end; at++)
    if (data[at] === SPACE && data[at + 4] === 61 && data[at + place] === letter) return at + 5
  return -1
}

function hex(byte: number): number {
  return byte <= 57 ? byte - 48 : (byte | 32) - 87
}

/** A copy of the bytes of a URL-encoded key. */
function unescapedBytes(data: Buffer, start: number, end: number): Buffer {
  const out = Buffer.allocUnsafe(end - start)
  let length = 0
  for (let at = start; at < end; at++) {
    if (data[at] !== PERCENT) out[length++] = data[at]
    else {
      out[length++] = (hex(data[at + 1]) << 4) | hex(data[at + 2])
      at += 2
    }
  }
  return out.subarray(0, length)
}

/** The bytes of a URL-encoded key. */
export function unescaped(name: string): Buffer {
  const bytes = Buffer.from(name, 'latin1')
  return unescapedBytes(bytes, 0, bytes.length)
}
