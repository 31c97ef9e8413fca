import type { SnapshotBatch } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { LanePool } from '../../../dist/engine/lanes/lane-pool.js'
import { bytes, HeldTarget, NOTHING, names, record, ScriptedTarget, turn } from '../../doubles.js'

const batch = (lane = 0, ...keys: string[]): SnapshotBatch => ({
  kind: 'snapshot',
  lane,
  records: keys.map((key) => record(key)),
  onConflict: 'replace',
})
const none = (): void => undefined
const failing = (): Promise<never> => Promise.reject(new Error('broken'))

/** Whether a promise has come to its end, looked at when everything else has gone on. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  let over = false
  void promise.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  await turn()
  return over
}

describe('lanes', () => {
  it('that were left take nothing of a shard before it has recovered, so that no batch overtakes one that was given up', async () => {
    const target = new HeldTarget()
    const pool = new LanePool(target, 1, none)
    const lanes = pool.forShard()
    await lanes.write(batch(0, 'first'))
    pool.leave()
    const lost = { code: 'FM_TARGET_LOST' }
    await expect(lanes.write(batch(0, 'second'))).rejects.toMatchObject(lost)
    expect([lanes.hasFailed, lanes.failed.aborted, target.taken.length]).toEqual([true, true, 1])
    // What was still being made when they were left is not written either.
    const late = pool.forShard()
    const made = Promise.withResolvers<SnapshotBatch>()
    await late.writeMade(0, () => made.promise, none)
    pool.leave()
    made.resolve(batch(0, 'late'))
    target.answer(0)
    await expect(late.drain()).rejects.toMatchObject(lost)
    await lanes.recover()
    await lanes.write(batch(0, 'third'))
    expect(target.taken.flatMap((one) => (one.kind === 'snapshot' ? names(one.records) : []))).toEqual([
      'first',
      'third',
    ])
  })

  it('give batches to the target in the order in which they were written, however late it answers', async () => {
    const target = new HeldTarget()
    const lanes = new LanePool(target, 2, none).forShard()
    const settled: number[] = []
    for (let i = 0; i < 6; i++) await lanes.write(batch(i % 2, `k${i}`), undefined, () => settled.push(i))
    expect(target.taken.flatMap((one) => (one.kind === 'snapshot' ? names(one.records) : []))).toEqual([
      'k0',
      'k1',
      'k2',
      'k3',
      'k4',
      'k5',
    ])
    for (const place of [5, 1, 0, 2, 4, 3]) target.answer(place)
    await lanes.drain()
    expect(settled).toEqual([5, 1, 0, 2, 4, 3])
  })

  it.each([
    [1, 16],
    [2, 8],
    [4, 2],
    [8, 2],
  ])('of a pool of %i take %i batches each, and then let the writer wait', async (count, most) => {
    const target = new HeldTarget()
    const pool = new LanePool(target, count, none)
    const lanes = pool.forShard()
    for (let i = 0; i < most; i++) await lanes.write(batch())
    const next = lanes.write(batch())
    expect(await isOver(next)).toBe(false)
    // Another lane has room.
    if (count > 1) await lanes.write(batch(1))
    target.answer(0)
    await next
    expect([pool.mostPerLane, target.taken.length]).toEqual([most, most + (count > 1 ? 2 : 1)])
  })

  it('are drained when the target has answered for everything', async () => {
    const target = new HeldTarget()
    const lanes = new LanePool(target, 2, none).forShard()
    await lanes.write(batch(0))
    await lanes.write(batch(1))
    const drained = lanes.drain()
    target.answer(1)
    expect(await isOver(drained)).toBe(false)
    target.answer(0)
    await drained
  })

  it('hand on the checkpoint, and tell of a result before they say that it settled', async () => {
    const told: string[] = []
    const target = new ScriptedTarget(async () => ({ ...NOTHING, written: 3 }))
    const lanes = new LanePool(target, 1, (result) => told.push(`result ${result.written}`)).forShard()
    const checkpoint = { migration: 'm', shard: 's', position: '7', dirty: [{ db: 0, key: bytes('d') }] }
    await lanes.write(batch(), checkpoint, (result) => told.push(`settled ${result.written}`))
    await lanes.drain()
    expect(told).toEqual(['result 3', 'settled 3'])
    expect(target.checkpoints).toEqual([checkpoint])
  })

  it('write nothing of a batch that turns out empty, and still settle it', async () => {
    const target = new ScriptedTarget()
    const lanes = new LanePool(target, 1, none).forShard()
    let settled = 0
    await lanes.writeMade(
      0,
      async () => batch(),
      () => settled++,
    )
    await lanes.writeMade(
      0,
      async () => batch(0, 'k'),
      () => settled++,
    )
    await lanes.drain()
    expect([settled, target.taken.length]).toEqual([2, 1])
  })

  it('write nothing when nothing may be written any more', async () => {
    const target = new ScriptedTarget()
    const lanes = new LanePool(target, 1, none, () => {
      throw new Error('taken over')
    }).forShard()
    await lanes.write(batch())
    await expect(lanes.drain()).rejects.toThrow('taken over')
    expect(target.taken).toEqual([])
  })

  it('give the first failure to whoever writes next, until they recover', async () => {
    const lanes = new LanePool(new ScriptedTarget(failing), 1, none).forShard()
    await lanes.write(batch())
    await expect(lanes.drain()).rejects.toThrow('broken')
    await expect(lanes.write(batch())).rejects.toThrow('broken')
    await lanes.recover()
    await lanes.drain()
  })

  it('tell at once that a batch failed, though nobody writes any more', async () => {
    const target = new HeldTarget()
    const lanes = new LanePool(target, 1, none).forShard()
    await lanes.write(batch())
    const { failed } = lanes
    await turn()
    expect([failed.aborted, lanes.hasFailed]).toEqual([false, false])
    target.fail(0, 'broken')
    await turn()
    expect([failed.aborted, lanes.hasFailed]).toEqual([true, true])
    await lanes.recover()
    expect([lanes.failed.aborted, lanes.hasFailed]).toEqual([false, false])
  })

  it('do not settle what failed, and wait for what is under way before they go on', async () => {
    const target = new HeldTarget()
    const lanes = new LanePool(target, 2, none).forShard()
    const settled: string[] = []
    await lanes.write(batch(0), undefined, () => settled.push('first'))
    await lanes.write(batch(1), undefined, () => settled.push('second'))
    target.fail(0, 'first broke')
    const recovered = lanes.recover()
    expect(await isOver(recovered)).toBe(false)
    target.fail(1, 'second broke')
    await recovered
    expect(settled).toEqual([])
    await lanes.drain()
  })

  it('keep the failure of one shard from the others, and one that recovers does not clear that of another', async () => {
    let broken = true
    const pool = new LanePool(new ScriptedTarget(() => (broken ? failing() : Promise.resolve(NOTHING))), 1, none)
    const [one, other] = [pool.forShard(), pool.forShard()]
    await one.write(batch())
    await pool.settle()
    broken = false
    await other.write(batch())
    await other.drain()
    await other.recover()
    // Nothing of the shard may follow the batch that was lost.
    await expect(one.write(batch())).rejects.toThrow('broken')
    await one.recover()
    await one.write(batch())
    await one.drain()
  })
})
