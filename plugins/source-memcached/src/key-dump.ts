import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
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

/**
 * All keys of a server, by its LRU crawler. The lines go to a file at the server's pace, so that neither a slow target holds
 * the crawler nor memory grows with the keys.
 */
export class KeyDump {
  readonly count: number
  private readonly file: string

  private constructor(file: string, count: number) {
    this.file = file
    this.count = count
  }

  /** @throws MigrateError FM_MEMCACHED_CRAWLER when the server lists no keys, FM_CONNECT_* */
  static async take(open: () => Promise<MemcachedLink>, file: string, signal: AbortSignal): Promise<KeyDump> {
    let which = 'hash'
    let refusal = ''
    let failures = 0
    for (let attempt = 0; attempt < BUSY_TRIES && !signal.aborted; attempt++) {
      const link = await open()
      try {
        const items = Number((await link.stats()).get('curr_items') ?? 0)
        link.send(`lru_crawler metadump ${which}\r\n`)
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
          if (which === 'hash') which = 'all'
          else if ((await link.call('lru_crawler enable')) !== 'OK') break
          continue
        }
        return new KeyDump(file, await KeyDump.write(link, first, file, 2 * items + MORE_LINES))
      } catch (error) {
        if (!(error instanceof MigrateError) || !error.retryable) throw error
        if (++failures >= FAILURES) throw error
        refusal = error.message
        await sleep(BUSY_MS, undefined, { signal }).catch(() => undefined)
      } finally {
        link.close()
      }
    }
    throw new MigrateError(
      'FM_MEMCACHED_CRAWLER',
      `the server does not list its keys: ${refusal.slice(0, 120)}`,
      'It needs version 1.4.31 and its LRU crawler (-o lru_crawler); else give the keys by --source-option keys-file=FILE.',
      { retryable: /BUSY/.test(refusal) },
    )
  }

  /** @throws MigrateError FM_CONNECT_* when the connection ends before the dump, FM_MEMCACHED_PROTOCOL when that has no end */
  private static async write(link: MemcachedLink, first: Buffer, file: string, most: number): Promise<number> {
    let count = 0
    const out = openSync(file, 'w', 0o600)
    try {
      for (let lines = first; ; lines = await link.lines()) {
        for (let at = lines.indexOf(LF); at >= 0; at = lines.indexOf(LF, at + 1)) count++
        // A view of what was received: it is written before more is asked for.
        writeSync(out, lines)
        if (endsDump(lines)) return count - 1
        if (count > most) throw link.strange('a list of keys without an end')
      }
    } catch (cause) {
      if (cause instanceof MigrateError) throw cause
      throw new MigrateError(
        'FM_SPOOL_DISK',
        `the list of keys cannot be written to ${file}: ${(cause as Error).message}`,
        'Free some disk space, or set TMPDIR to a larger disk.',
        { cause },
      )
    } finally {
      closeSync(out)
    }
  }

  /** The keys in pages. */
  async *pages(): AsyncGenerator<DumpedKey[]> {
    let rest = Buffer.alloc(0)
    let page: DumpedKey[] = []
    for await (const chunk of createReadStream(this.file, { highWaterMark: 256 << 10 }) as AsyncIterable<Buffer>) {
      const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let start = 0
      for (let end = data.indexOf(LF); end >= 0; end = data.indexOf(LF, start)) {
        const key = parseLine(data, start, end)
        start = end + 1
        if (key === null) continue
        page.push(key)
        if (page.length < PAGE) continue
        yield page
        page = []
      }
      rest = Buffer.from(data.subarray(start))
    }
    if (page.length > 0) yield page
  }

  async remove(): Promise<void> {
    await rm(this.file, { force: true })
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
