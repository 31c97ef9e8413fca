import { type DirtyKey, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'
import type { ClusterView } from '@ferrite-migrate/redis'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { DoubtfulKeys } from '../../dist/cluster/doubtful-keys.js'
import { type HandoverShard, SlotHandover } from '../../dist/cluster/slot-handover.js'
import { SlotOwners } from '../../dist/cluster/slot-owners.js'

const quiet: Logger = { log: () => undefined, enabled: () => false }
const key = (text: string): DirtyKey => ({ db: 0, key: Buffer.from(text) })

/** A shard that keeps what it is told. */
class FakeShard implements HandoverShard {
  readonly id: string
  isLive = true
  isOver = false
  given: number | null = null
  durable: number | null = null
  eventsGiven = 0
  eventsTaken = 0
  stands: number | null = 100
  keys: DirtyKey[] = []
  readonly told: { keys: string[]; sweep: boolean }[] = []

  constructor(id: string) {
    this.id = id
  }

  async standing(): Promise<number | null> {
    return this.stands
  }

  async keysOf(): Promise<DirtyKey[]> {
    return [...this.keys]
  }

  readAgain(keys: readonly DirtyKey[], sweep: boolean): void {
    this.told.push({ keys: keys.map((one) => one.key.toString()), sweep })
  }
}

function view(owner: (slot: number) => number, more: Partial<ClusterView> = {}): ClusterView {
  const primary = {
    id: 'x',
    address: null,
    role: 'primary',
    primary: null,
    failed: false,
    epoch: 1,
    slots: [],
  } as const
  return {
    shards: ['a', 'b'].map((name) => ({ name, primary, replicas: [] })),
    owners: Int16Array.from({ length: SLOTS }, (_, slot) => owner(slot)),
    disputed: new Set(),
    moving: new Map(),
    ...more,
  }
}

const atA = view(() => 0)
const sevenAtB = view((slot) => (slot === 7 ? 1 : 0))
const underWay = view(() => 0, { moving: new Map([[7, { slot: 7, from: 'x', to: 'y' }]]) })

describe('a slot that goes from shard to shard', () => {
  let a: FakeShard
  let b: FakeShard
  let doubtful: DoubtfulKeys
  let owners: SlotOwners
  let handover: SlotHandover
  beforeEach(() => {
    a = new FakeShard('a')
    b = new FakeShard('b')
    doubtful = new DoubtfulKeys()
    owners = new SlotOwners((slot) => handover.isDoubtful(slot))
    handover = new SlotHandover(owners, doubtful, quiet)
    handover.join(a)
    handover.join(b)
    owners.give(
      Array.from({ length: SLOTS }, (_, slot) => slot),
      'a',
    )
  })

  it('stays where it is as long as nobody says otherwise', async () => {
    await handover.step(atA)
    expect([owners.of(7), handover.pending, b.told]).toEqual(['a', 0, []])
  })

  it('is nobody’s until what its former owner gave is durable, and is then read again whole', async () => {
    await handover.step(underWay)
    a.given = 50
    a.durable = 40
    b.keys = [key('k1'), key('k2')]
    await handover.step(sevenAtB)
    expect([owners.of(7), b.told]).toEqual([null, []])
    a.durable = 50
    await handover.step(sevenAtB)
    expect([owners.of(7), b.told]).toEqual(['b', [{ keys: ['k1', 'k2'], sweep: false }]])
  })

  it('is nobody’s until all that its former owner had read again is written', async () => {
    await handover.step(underWay)
    a.eventsGiven = 3
    a.eventsTaken = 2
    b.keys = [key('k')]
    await handover.step(sevenAtB)
    a.eventsGiven = 4
    await handover.step(sevenAtB)
    expect([owners.of(7), b.told]).toEqual([null, []])
    a.eventsTaken = 3
    await handover.step(sevenAtB)
    expect(owners.of(7)).toBe('b')
  })

  it('moves as long as a view or a stream says so', async () => {
    await handover.step(underWay)
    expect([7, 8].map((slot) => handover.isMoving(slot))).toEqual([true, false])
    handover.trace(8)
    await handover.step(atA)
    expect([7, 8].map((slot) => handover.isMoving(slot))).toEqual([false, true])
    doubtful.add(8, [key('k')])
    await handover.step(atA)
    expect(a.told).toEqual([])
    vi.useFakeTimers({ now: Date.now() + 4000, toFake: ['Date'] })
    await handover.step(atA)
    vi.useRealTimers()
    expect([handover.isMoving(8), a.told]).toEqual([false, [{ keys: ['k'], sweep: false }]])
  })

  it('is doubtful until the stream of its former owner has nothing of before any more', async () => {
    await handover.step(underWay)
    a.given = 50
    a.durable = 50
    await handover.step(sevenAtB)
    expect(owners.of(7)).toBe('b')
    expect([handover.isDoubtful(7), owners.textOf('b'), handover.pending]).toEqual([true, '', 1])
    a.given = 100
    await handover.step(sevenAtB)
    expect([handover.isDoubtful(7), owners.textOf('b'), handover.pending]).toEqual([false, '7', 0])
  })

  it('has what was left out of it read again as well', async () => {
    await handover.step(underWay)
    doubtful.add(7, [key('gone')])
    b.keys = [key('k1')]
    await handover.step(sevenAtB)
    expect(b.told).toEqual([{ keys: ['k1', 'gone'], sweep: false }])
  })

  it('may be as large as it likes, and names each of its keys once', async () => {
    await handover.step(underWay)
    b.keys = Array.from({ length: 300_000 }, (_, i) => key(`k${i}`))
    for (let i = 0; i < 90_000; i++) doubtful.add(7, [key(`k${i}`)])
    doubtful.add(7, [key('gone')])
    await handover.step(sevenAtB)
    expect(b.told.map(({ keys }) => [keys.length, new Set(keys).size])).toEqual([[300_001, 300_001]])
  })

  it('ends everything where its keys may never be listed, and says so once', async () => {
    const said: string[] = []
    const logger: Logger = { log: (_, text) => void said.push(text), enabled: () => true }
    handover = new SlotHandover(owners, doubtful, logger)
    handover.join(a)
    handover.join(b)
    b.keysOf = async () => {
      throw new MigrateError('FM_AUTH_RIGHTS', 'not allowed', 'Give the rights.')
    }
    for (let look = 0; look < 5; look++) await handover.step(sevenAtB)
    expect(handover.failure).toMatchObject({ code: 'FM_AUTH_RIGHTS' })
    expect(said).toEqual(['slots cannot be handed over now: not allowed'])
  })

  it('is looked through for what vanished where no ordinary move was seen, or its former owner is gone', async () => {
    await handover.step(sevenAtB)
    expect(b.told).toEqual([{ keys: [], sweep: true }])
    const eightToo = view((slot) => (slot === 7 || slot === 8 ? 1 : 0))
    handover.trace(8)
    a.isOver = true
    await handover.step(eightToo)
    expect(b.told[1]).toEqual({ keys: [], sweep: true })
    expect(handover.isDoubtful(8)).toBe(false)
  })

  it('waits as long as primaries disagree, it is under way, or its new owner still reads its snapshot', async () => {
    await handover.step({ ...sevenAtB, disputed: new Set([7]) })
    await handover.step({ ...sevenAtB, moving: underWay.moving })
    b.isLive = false
    await handover.step(sevenAtB)
    expect(owners.of(7)).toBe('a')
    b.isLive = true
    await handover.step(sevenAtB)
    expect(owners.of(7)).toBe('b')
  })

  it('that comes to rest where it was has its doubtful keys read again there', async () => {
    await handover.step(underWay)
    doubtful.add(7, [key('k')])
    await handover.step(underWay)
    expect(a.told).toEqual([])
    await handover.step(atA)
    expect(a.told).toEqual([{ keys: ['k'], sweep: false }])
    expect(handover.pending).toBe(0)
  })

  it('is tried again where its keys could not be listed', async () => {
    b.keysOf = async () => {
      throw new Error('away')
    }
    await handover.step(sevenAtB)
    expect([owners.of(7), b.told]).toEqual([null, []])
    b.keysOf = async () => [key('k')]
    await handover.step(sevenAtB)
    expect([owners.of(7), b.told]).toEqual(['b', [{ keys: ['k'], sweep: true }]])
  })

  it('whose new owner leaves before it took it over goes to whoever has it then, looked through for what vanished', async () => {
    const c = new FakeShard('c')
    handover.join(c)
    const shards = ['a', 'b', 'c'].map((name) => ({ ...atA.shards[0], name }))
    const at = (place: number) => ({ ...view((slot) => (slot === 7 || slot === 8 ? place : 0)), shards })
    await handover.step({ ...atA, shards, moving: new Map([[7, { slot: 7, from: 'x', to: 'y' }]]) })
    a.given = 50
    a.durable = 40
    await handover.step(at(1))
    // It has left, and the slots are under way to another; what it is asked would never be answered.
    b.isOver = true
    b.keysOf = () => Promise.reject(new Error('is no shard'))
    handover.leave('b')
    await handover.step({ ...at(1), disputed: new Set([7, 8]) })
    await handover.step({ ...at(2), disputed: new Set([8]) })
    expect([owners.of(7), c.told]).toEqual([null, []])
    a.durable = 50
    c.keys = [key('k')]
    await handover.step({ ...at(2), disputed: new Set([8]) })
    expect([owners.of(7), owners.of(8), c.told]).toEqual(['c', null, [{ keys: ['k'], sweep: true }]])
    a.given = 100
    await handover.step(at(2))
    expect([owners.of(8), c.told.length]).toEqual(['c', 2])
    await handover.step(at(2))
    expect(handover.pending).toBe(0)
  })

  it('whose new owner leaves before it took it over may come back to its former one', async () => {
    await handover.step(underWay)
    a.given = 50
    await handover.step(sevenAtB)
    b.isOver = true
    handover.leave('b')
    a.keys = [key('k')]
    await handover.step(atA)
    expect(owners.of(7)).toBe(null)
    a.durable = 50
    await handover.step(atA)
    expect([owners.of(7), a.told]).toEqual(['a', [{ keys: ['k'], sweep: true }]])
    a.given = 100
    await handover.step(atA)
    expect(handover.pending).toBe(0)
  })

  it('that nobody had is taken over at once', async () => {
    owners.give([9], null)
    a.keys = [key('k')]
    await handover.step(atA)
    expect([owners.of(9), a.told]).toEqual(['a', [{ keys: ['k'], sweep: true }]])
  })
})
