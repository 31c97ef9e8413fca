import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '@ferrite-migrate/bench'
import { MigrateError } from '@ferrite-migrate/contracts'
import { afterAll, describe, expect, it } from 'vitest'
import { Spool } from '../dist/spool.js'

const directory = mkdtempSync(join(tmpdir(), 'fm-spool-'))
afterAll(() => rmSync(directory, { recursive: true }))
const spool = (memoryLimit: number, diskLimit = 1 << 30, unflushedLimit = 0): Spool =>
  new Spool({ directory, memoryLimit, unflushedLimit, diskLimit })

describe('the spool', () => {
  it.each([
    [1, 0],
    [2, 0],
    [3, 400_000],
    [4, 400_000],
    [5, 4 << 20],
    [6, 4 << 20],
  ])('gives back what it got, from memory and from disk, in order (seed %d, unflushed %d)', async (seed, unflushed) => {
    const random = new Random(seed)
    const one = spool(2 << 20, 1 << 30, unflushed)
    let most = 0
    const went = createHash('sha256')
    const came = createHash('sha256')
    const shared = Buffer.alloc(1 << 20)
    let pushed = 0
    const writer = (async () => {
      for (let i = 0; i < 400; i++) {
        // The reader of a socket gives the same memory again and again.
        const chunk = shared.subarray(0, 1 + random.below(i % 50 === 0 ? 1 << 20 : 100_000))
        chunk.fill(random.below(256))
        chunk.writeUInt8(i & 255, chunk.length - 1)
        went.update(chunk)
        one.push(chunk)
        pushed += chunk.length
        most = Math.max(most, one.waiting)
        if (random.below(4) === 0) await sleep(random.below(3))
      }
      one.end()
    })()
    let got = 0
    let dry = 0
    for (let n = 0; ; n++) {
      const chunk = await one.next()
      if (chunk === null) break
      if (one.waiting === 0) dry++
      got += chunk.length
      came.update(chunk)
      // Slow now and then, until the disk is needed; else fast enough to come back to memory.
      for (let i = 0; n % 40 === 1 && i < 50 && one.waiting < 6 << 20 && got < 12 << 20; i++) await sleep(2)
    }
    await writer
    expect([got, came.digest('hex')]).toEqual([pushed, went.digest('hex')])
    // More than its memory and what waits for the disk.
    expect(most).toBeGreaterThan((2 << 20) + unflushed)
    expect(dry).toBeGreaterThan(1)
    expect(one.waiting).toBe(0)
    await one.close()
  })

  it('gives what waits before the error, and nothing after it was dropped', async () => {
    const failed = spool(1 << 20)
    failed.push(Buffer.from('rest'))
    failed.fail(new MigrateError('FM_TEST', 'over', 'Stop.'))
    failed.push(Buffer.from('too late'))
    expect(String(await failed.next())).toBe('rest')
    await expect(failed.next()).rejects.toMatchObject({ code: 'FM_TEST' })
    const dropped = spool(1 << 20)
    dropped.push(Buffer.from('gone'))
    dropped.end(true)
    expect(await dropped.next()).toBeNull()
    await failed.close()
    await dropped.close()
  })

  it('gives what waits for the disk before the error as well, unless the disk failed', async () => {
    const failed = spool(1000, 1 << 30, 4 << 20)
    for (let i = 0; i < 10; i++) failed.push(Buffer.alloc(100_000, i))
    failed.fail(new MigrateError('FM_TEST', 'over', 'Stop.'))
    let got = 0
    const reading = async (): Promise<void> => {
      for (let chunk = await failed.next(); chunk !== null; chunk = await failed.next()) got += chunk.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'FM_TEST' })
    expect(got).toBe(1_000_000)
    await failed.close()
  })

  it('is full at its limit', async () => {
    const small = spool(1000, 500_000)
    for (let i = 0; i < 10; i++) small.push(Buffer.alloc(100_000))
    await expect(
      (async () => {
        while ((await small.next()) !== null);
      })(),
    ).rejects.toMatchObject({ code: 'FM_SPOOL_FULL' })
    await small.close()
  })

  it('remembers when what arrived, and lets an idle reader look around', async () => {
    const one = spool(1 << 20)
    one.push(Buffer.from('early'))
    const between = Date.now() + 1
    await sleep(50)
    one.push(Buffer.from('late'))
    expect(one.arrivedAt(0)).toBeLessThanOrEqual(between)
    expect(one.arrivedAt(5)).toBeGreaterThan(between)
    expect(String(await one.next())).toBe('earlylate')
    one.idleMs = 20
    expect(await one.next()).toHaveLength(0)
    await one.close()
  })

  it('keeps back what comes while it rests, and nothing when it ends', async () => {
    const one = spool(1 << 20)
    one.rest(400)
    one.push(Buffer.from('a'))
    const startedAt = performance.now()
    const coming = one.next()
    one.push(Buffer.from('b'))
    expect(String(await coming)).toBe('ab')
    expect(performance.now() - startedAt).toBeGreaterThan(350)
    // What comes after the rest is given at once.
    one.rest(20)
    await sleep(40)
    const next = one.next()
    one.push(Buffer.from('c'))
    expect(String(await next)).toBe('c')
    one.rest(60_000)
    one.push(Buffer.from('d'))
    const last = one.next()
    one.end()
    expect(String(await last)).toBe('d')
    expect(await one.next()).toBeNull()
    await one.close()
  })
})
