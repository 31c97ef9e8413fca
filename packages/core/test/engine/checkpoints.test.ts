import { MemoryTarget } from '@ferrite-migrate/conformance'
import type { Position, SourceCapabilities } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpoints, type CheckpointsNeeds, type Resumed } from '../../dist/engine/checkpoints.js'
import { LanePool } from '../../dist/engine/lanes/lane-pool.js'
import { PendingKeys } from '../../dist/engine/lanes/pending-keys.js'
import { bytes, HeldTarget, names, turn } from '../doubles.js'

let target: MemoryTarget
let dirty: PendingKeys
let told: Position[]
let acknowledged: Position[]
beforeEach(() => {
  target = new MemoryTarget()
  dirty = new PendingKeys()
  told = []
  acknowledged = []
})

const resumed = (inSnapshot: boolean, ...positions: [string, Position][]): Resumed => ({
  positions: new Map(positions),
  held: null,
  inSnapshot,
})

interface Given extends Partial<Omit<CheckpointsNeeds, 'source'>> {
  readonly resume?: SourceCapabilities['resume']
  readonly atTarget?: boolean
  readonly to?: MemoryTarget
}

function checkpoints({ resume = 'both', atTarget = true, to = target, ...given }: Given = {}): Checkpoints {
  return new Checkpoints(
    {
      id: 'm',
      config: { mode: 'live' },
      source: { capabilities: { changes: 'lossless', resume } },
      target: to,
      resumed: null,
      ...given,
    },
    {
      id: 's',
      covers: (position, mark) => Number(position) >= Number(mark),
      acknowledge: (position) => acknowledged.push(position),
    },
    new LanePool(to, 1, () => undefined).forShard(),
    0,
    dirty,
    atTarget,
    (position) => told.push(position),
  )
}

const kept = (position: Position, ...keys: string[]): Promise<unknown> =>
  target.write(
    { kind: 'changes', lane: 0, records: [] },
    { migration: 'm', shard: 's', position, dirty: keys.map((key) => ({ db: 0, key: bytes(key) })) },
  )

describe('a position', () => {
  it('that is durable is acknowledged and told', () => {
    const one = checkpoints()
    expect(one.position).toBe(null)
    one.durable('7')
    expect([one.position, acknowledged, told]).toEqual(['7', ['7'], ['7']])
  })

  it('of a snapshot waits for those before it', () => {
    const one = checkpoints()
    const [first, second] = [one.queue.enter('1'), one.queue.enter('2')]
    second()
    expect(told).toEqual([])
    first()
    expect(told).toEqual(['2'])
  })

  it('that no batch brings is durable when the target has it, and not before', async () => {
    const held = new HeldTarget()
    const one = checkpoints({ to: held })
    dirty.add(0, bytes('a'))
    await one.write('3')
    expect([told, held.checkpoints[0]?.position]).toEqual([[], '3'])
    expect(names(held.checkpoints[0]!.dirty)).toEqual(['a'])
    held.answer(0)
    await turn()
    expect(told).toEqual(['3'])
  })

  it('goes with its batch only where the target keeps it', () => {
    expect(checkpoints({ atTarget: false }).of('3')).toBe(undefined)
    expect(checkpoints().of('3')).toEqual({ migration: 'm', shard: 's', position: '3', dirty: [] })
  })

  it('is forgotten before newer values are written', async () => {
    await kept('3')
    await checkpoints().forget()
    expect(await target.checkpoint('m', 's')).toBe(undefined)
    await kept('3')
    await checkpoints({ atTarget: false }).forget()
    expect(await target.checkpoint('m', 's')).toMatchObject({ position: '3' })
  })
})

describe('a run that goes on', () => {
  it('begins anew where it is the first', async () => {
    await kept('5')
    expect(await checkpoints().resumeFrom(false)).toBe(undefined)
  })

  it('takes what the target has, with its dirty keys, before what was saved', async () => {
    await kept('5', 'a')
    expect(await checkpoints({ resumed: resumed(false, ['s', '4']) }).resumeFrom(false)).toBe('5')
    expect(names(dirty.unread())).toEqual(['a'])
  })

  it('takes no saved place where the target should have had one', async () => {
    expect(await checkpoints({ resumed: resumed(false, ['s', '4']) }).resumeFrom(false)).toBe(undefined)
  })

  it('takes the saved place of its own shard where the target keeps none', async () => {
    const given = { atTarget: false, resumed: resumed(false, ['other', '9'], ['s', '4']) }
    expect(await checkpoints(given).resumeFrom(false)).toBe('4')
  })

  it('of snapshots looks for no checkpoint', async () => {
    await kept('5')
    const given: Given = { config: { mode: 'snapshot' }, resumed: resumed(true, ['s', '4']) }
    expect(await checkpoints(given).resumeFrom(false)).toBe('4')
  })

  it.each([
    ['both', true, '4'],
    ['both', false, '4'],
    ['snapshot', true, '4'],
    ['snapshot', false, undefined],
    ['changes', true, undefined],
    ['changes', false, '4'],
    ['none', true, undefined],
    ['none', false, undefined],
  ] as const)('at a source that resumes %s, in its snapshot: %s, goes on from %s', async (resume, inSnapshot, from) => {
    const one = checkpoints({ atTarget: false, resume, resumed: resumed(inSnapshot, ['s', '4']) })
    expect(await one.resumeFrom(false)).toBe(from)
  })

  it('begins anew where only that tells what must be known, and knows its dirty keys all the same', async () => {
    await kept('5', 'a')
    expect(await checkpoints({ resumed: resumed(false) }).resumeFrom(true)).toBe(undefined)
    expect(names(dirty.unread())).toEqual(['a'])
  })
})

describe('after a loss', () => {
  it('it goes on from what the target has, and what was dirty here or there is read again', async () => {
    await kept('5', 'there')
    dirty.add(0, bytes('here'))
    dirty.read('9', dirty.unread())
    expect(await checkpoints().afterLoss()).toBe('5')
    expect(names(dirty.unread()).sort()).toEqual(['here', 'there'])
  })

  it('it begins anew where the target has nothing, or keeps none', async () => {
    expect(await checkpoints().afterLoss()).toBe(undefined)
    await kept('5')
    expect(await checkpoints({ atTarget: false }).afterLoss()).toBe(undefined)
  })

  it('a target that keeps nothing is found out', async () => {
    const one = checkpoints()
    await one.mustBeThere()
    one.durable('6')
    await expect(one.mustBeThere()).rejects.toMatchObject({ code: 'FM_TARGET_KEEPS_NOTHING' })
    await kept('5')
    await expect(one.mustBeThere()).rejects.toMatchObject({ code: 'FM_TARGET_KEEPS_NOTHING' })
    await kept('6')
    await one.mustBeThere()
  })
})
