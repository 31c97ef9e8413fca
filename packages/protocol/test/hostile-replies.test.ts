import { type Reply, ReplyCounter, RespReader, SilenceWatch, type Watched } from '@ferrite-migrate/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

/** What no Redis-compatible server says, whatever its chunks are. */
const HOSTILE: Record<string, string> = {
  'a length below -1': '$-77\r\n',
  'a length that is no number': '$1e9\r\n',
  'a length with a sign': '$+5\r\nhello\r\n',
  'a string of 5 TB': '$5497558138880\r\n',
  'an array of 2^60 elements': `*${2 ** 60}\r\n`,
  'an array of arrays without end': '*1\r\n'.repeat(64),
  'a type that is none': 'HTTP/1.1 400 Bad Request\r\n',
  'a line of 100 KB': `+${'x'.repeat(100_000)}`,
}

function read(text: string, size: number): Reply[] {
  const replies: Reply[] = []
  const reader = new RespReader((reply) => replies.push(reply))
  for (let at = 0; at < text.length; at += size) reader.push(Buffer.from(text.slice(at, at + size), 'latin1'))
  return replies
}

describe('replies that harm', () => {
  for (const [what, text] of Object.entries(HOSTILE))
    it(`are refused by both readers: ${what}`, () => {
      for (const size of [1, 7, text.length]) {
        expect(() => read(text, size)).toThrow(expect.objectContaining({ code: 'FM_RESP_PROTOCOL' }))
        const counter = new ReplyCounter(
          () => undefined,
          () => undefined,
        )
        expect(() => {
          for (let at = 0; at < text.length; at += size) counter.push(Buffer.from(text.slice(at, at + size), 'latin1'))
        }).toThrow(expect.objectContaining({ code: 'FM_RESP_PROTOCOL' }))
      }
    })

  it('take no memory for what is only announced', () => {
    const before = process.memoryUsage().rss
    const replies: Reply[] = []
    const reader = new RespReader((reply) => replies.push(reply))
    reader.push(Buffer.from('$1073741824\r\nabc'))
    expect(replies).toEqual([])
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20)
  })

  it('hold no more than a gigabyte together, in one string or in many', () => {
    expect(() => new RespReader(() => undefined).push(Buffer.from('$4294967296\r\nabc'))).toThrow(
      /more than 1073741824/,
    )
    const reader = new RespReader(() => undefined)
    const part = Buffer.concat([Buffer.from(`$${64 << 20}\r\n`), Buffer.alloc(64 << 20), Buffer.from('\r\n')])
    reader.push(Buffer.from('*1000\r\n'))
    expect(() => {
      for (let i = 0; i < 20; i++) reader.push(part)
    }).toThrow(/more than 1073741824/)
  })

  it('random bytes end in an error or in replies, never otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        try {
          read(Buffer.from(bytes).toString('latin1'), size)
        } catch (error) {
          expect(error).toMatchObject({ code: 'FM_RESP_PROTOCOL' })
        }
      }),
      { seed: 17, numRuns: 2000 },
    )
  })

  it('an array that EXEC answers is announced with its size, and a nil is told', () => {
    const sizes: number[] = []
    const nils: number[] = []
    const counter = new ReplyCounter(
      () => undefined,
      (index) => nils.push(index),
      null,
      (_, size) => sizes.push(size),
    )
    counter.push(Buffer.from('+OK\r\n*2\r\n:1\r\n:2\r\n*-1\r\n*0\r\n'))
    expect([counter.count, sizes, nils]).toEqual([4, [2, 0], [2]])
  })
})

describe('silence', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  function watch(over: Partial<Watched> = {}): { watch: SilenceWatch; silent: () => number | null } {
    let told: number | null = null
    const made = new SilenceWatch({
      limitMs: 10_000,
      expecting: () => true,
      deaf: () => false,
      pendingBytes: () => 0,
      silent: (ms) => {
        told = ms
      },
      ...over,
    })
    return { watch: made, silent: () => told }
  }

  it('is noticed when an answer is owed', () => {
    const { silent } = watch()
    vi.advanceTimersByTime(9000)
    expect(silent()).toBeNull()
    vi.advanceTimersByTime(3000)
    expect(silent()).toBeGreaterThanOrEqual(10_000)
  })

  it('is none while nothing is owed, nobody listens, something comes, or something is taken', () => {
    let pending = 1e9
    const quiet = [
      watch({ expecting: () => false }),
      watch({ deaf: () => true }),
      watch({ pendingBytes: () => pending-- }),
    ]
    const alive = watch()
    for (let i = 0; i < 100; i++) {
      vi.advanceTimersByTime(1000)
      alive.watch.progress()
    }
    for (const { silent } of [...quiet, alive]) expect(silent()).toBeNull()
  })

  it('of the time in which this process stood still says nothing of the other side', () => {
    const { silent } = watch()
    vi.advanceTimersByTime(2000)
    // A clock that jumps without timers running: stopped, swapped out, a machine that was paused.
    vi.setSystemTime(Date.now() + 3_600_000)
    vi.advanceTimersByTime(5000)
    expect(silent()).toBeNull()
    vi.setSystemTime(Date.now() - 7_200_000)
    vi.advanceTimersByTime(5000)
    expect(silent()).toBeNull()
    vi.advanceTimersByTime(20_000)
    expect(silent()).not.toBeNull()
  })
})
