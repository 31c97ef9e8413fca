import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import {
  type ChangeBatch,
  type Checkpoint,
  type Failure,
  MigrateError,
  type Shard,
  type ShardChange,
  type Source,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { until } from '@ferrite-migrate/servers'
import { beforeEach, describe, expect, it } from 'vitest'
import { Engine } from '../../dist/engine/engine.js'
import { ErrorRate } from '../../dist/engine/lanes/error-rate.js'
import { bytes, command, NOTHING, names, record, ScriptedTarget, turn } from '../doubles.js'
import { fill, type Given, MemoryRoute, sourceWith } from './memory-route.js'

/** A source whose shards are memories of their own, by their names; a key belongs to the shard that its letter names. */
class Shards {
  readonly stores = new Map<string, MemoryStore>()
  readonly sources = new Map<string, MemorySource>()
  readonly shards: Shard[] = []

  constructor(...ids: string[]) {
    for (const id of ids) this.shards.push(this.add(id))
  }

  add(id: string): Shard {
    const store = new MemoryStore()
    fill(store, `${id}:1`, `${id}:2`)
    const source = new MemorySource(store, { id })
    this.stores.set(id, store)
    this.sources.set(id, source)
    return { ...source.shards[0], owns: (_, key) => key[0] === id.charCodeAt(0) }
  }

  run(id: string, ...words: string[]): void {
    this.sources.get(id)!.run(command(...words))
  }
}

/** Refuses commands on one key. */
class RefusingTarget extends MemoryTarget {
  protected override async changes(batch: ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    const refused = batch.records.filter(({ argv }) => String(argv[1]) === 'a:3')
    const records = batch.records.filter((one) => !refused.includes(one))
    const result = await super.changes({ ...batch, records }, checkpoint)
    return {
      ...result,
      failed: refused.map(({ db, argv }): Failure => ({ db, key: argv[1], reason: 'no', code: 'refused' })),
    }
  }
}

let route: MemoryRoute
let shards: Shards
beforeEach(() => {
  route = new MemoryRoute()
  shards = new Shards('a', 'b')
})

const source = (given: Partial<Source> = {}): Source => sourceWith({ shards: shards.shards, ...given }, route.source)
const engine = (given: Given = {}): Engine => new Engine(route.needs({ source: source(), ...given }))
const isLive = (...ids: string[]): Promise<void> =>
  until(
    () =>
      ids.every((id) =>
        route.told.some((one) => one.kind === 'phase' && one.shard === id && one.phase === 'LIVE_SYNC'),
      ),
    `${ids} to be copied`,
  )
const hasArrived = (key: string): Promise<void> => until(() => route.arrived.includes(key), key)
/** Ends the reading and waits. */
async function end(over: Promise<void>): Promise<void> {
  route.stop()
  await over
}

describe('an engine', () => {
  it('copies all shards and follows each', async () => {
    const over = engine().run()
    await isLive('a', 'b')
    expect(route.arrived).toEqual(['a:1', 'a:2', 'b:1', 'b:2'])
    shards.run('a', 'SET', 'a:3', 'v')
    shards.run('b', 'DEL', 'b:1')
    await hasArrived('a:3')
    await until(() => !route.arrived.includes('b:1'), 'the deletion')
    await end(over)
    expect(route.progress).toMatchObject({ keysDone: 4, keysTotal: 4, changesApplied: 2 })
  })

  it('ends every shard with what the first one failed with', async () => {
    const broken: Shard = {
      id: 'c',
      // biome-ignore lint/correctness/useYield: it fails when the others are copied
      async *read() {
        await isLive('a', 'b')
        throw new MigrateError('FM_CONNECT_LOST', 'gone', 'Look.')
      },
    }
    const one = engine({ source: source({ shards: [...shards.shards, broken] }) })
    await expect(one.run()).rejects.toMatchObject({ code: 'FM_CONNECT_LOST', message: 'gone' })
  })

  it('writes nothing for a run that another process has', async () => {
    const admit = (): void => {
      throw new MigrateError('FM_RUN_TAKEN', 'taken', 'Look.')
    }
    await expect(engine({ admit }).run()).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
    expect(route.arrived).toEqual([])
  })

  it('reads shards that come, and waits for none that went', async () => {
    const change = Promise.withResolvers<ShardChange>()
    const leave = Promise.withResolvers<void>()
    const one = engine({
      source: source({
        async *watch(signal) {
          yield await change.promise
          await leave.promise
          yield { kind: 'removed', shard: 'b' }
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        },
      }),
    })
    const over = one.run()
    await isLive('a', 'b')
    change.resolve({ kind: 'added', shard: shards.add('c') })
    await isLive('c')
    for (const id of ['a', 'b']) shards.run(id, 'SET', `${id}:3`, 'v')
    await until(() => [...one.read()].length === 2, 'both changes')
    leave.resolve()
    await until(() => route.told.some(({ kind }) => kind === 'left'), 'the end of a shard')
    expect([...one.read()]).toEqual([['a', 'memory:0:1:end']])
    await end(over)
    expect(route.arrived).toContain('c:2')
    expect(route.told).toContainEqual({ kind: 'joined', shard: 'c' })
  })

  it('ends where nobody can tell any more which shards there are', async () => {
    const one = engine({
      source: source({
        // biome-ignore lint/correctness/useYield: it fails
        async *watch() {
          throw new Error('no topology')
        },
      }),
    })
    await expect(one.run()).rejects.toThrow('no topology')
  })
})

describe('what the target could not take', () => {
  const failing = (failure: Failure): ScriptedTarget =>
    new ScriptedTarget(async ({ records: { length } }) =>
      length === 0 ? NOTHING : { ...NOTHING, written: length - 1, failed: [failure] },
    )
  const conflict: Failure = { db: 0, key: bytes('a:1'), reason: 'it is there', code: 'conflict' }

  it('is counted, and ends the run where a conflict is to', async () => {
    const config = { mode: 'snapshot', onConflict: 'skip' } as const
    await engine({ target: failing(conflict), config }).run()
    expect(route.progress).toMatchObject({ written: 2, failed: 2 })
    const strict = engine({ target: failing(conflict), config: { ...config, onConflict: 'fail' } })
    await expect(strict.run()).rejects.toMatchObject({
      code: 'FM_TARGET_CONFLICT',
      message: 'the target already has the key a:1',
    })
  })

  it('ends the run when it is too much of all', async () => {
    shards = new Shards('a')
    for (let i = 0; i < 200; i++) fill(shards.stores.get('a')!, `a:${i}`)
    const refused: Failure = { db: 0, key: bytes('a:1'), reason: 'no', code: 'refused' }
    const given: Given = { target: failing(refused), config: { mode: 'snapshot' } }
    await engine({ ...given, errorRate: new ErrorRate(0.5) }).run()
    await expect(engine({ ...given, errorRate: new ErrorRate(0.2) }).run()).rejects.toMatchObject({
      code: 'FM_ERROR_RATE',
    })
  })

  it('of changes is no failure: the key is read again', async () => {
    const over = engine({ target: new RefusingTarget(route.there) }).run()
    await isLive('a', 'b')
    shards.run('a', 'SET', 'a:3', 'v')
    await until(() => route.notes.length > 0, 'the refusal')
    // It is read at the place that the next change brings.
    shards.run('a', 'SET', 'a:4', 'v')
    await hasArrived('a:3')
    await end(over)
    expect([route.progress.failed, route.progress.failures]).toEqual([0, []])
    expect(route.notes).toEqual(['healed: no (a:3 and others like it): such keys are read again'])
  })
})

describe('keys of several shards', () => {
  const keys = ['b:1', 'a:1', 'b:2'].map((key) => ({ db: 0, key: bytes(key) }))

  it('are mended by the shards that own them', async () => {
    const one = engine()
    const over = one.run()
    await isLive('a', 'b')
    for (const { db, key } of keys) route.there.delete(db, key)
    await one.repair(keys)
    // The next change of each brings the place at which they are read.
    shards.run('a', 'SET', 'a:3', 'v')
    shards.run('b', 'SET', 'b:3', 'v')
    await until(() => route.arrived.length === 6, 'all of them')
    await end(over)
  })

  it('are read at both ends in the order in which they were asked for', async () => {
    const one = engine()
    const over = one.run()
    await isLive('a', 'b')
    route.there.set(record('b:1', 'other'))
    const reading = one.readBoth(keys, new MemoryTarget(route.there).reader())
    let isRead = false
    void reading.finally(() => {
      isRead = true
    })
    // A stream stands at the place at which its keys were read: that place comes with a change.
    for (let i = 0; !isRead; i++) {
      for (const id of ['a', 'b']) shards.run(id, 'SET', `${id}:late`, String(i))
      await turn()
    }
    const both = await reading
    await end(over)
    expect(both?.source).toEqual(keys.map(({ key }) => record(String(key))))
    expect(both?.target).toEqual([record('b:1', 'other'), record('a:1'), record('b:2')])
  })

  it('of which nobody can tell whose they are are not replayed, and by state any shard can read them', async () => {
    const unowned = shards.shards.map(({ owns: _, ...shard }): Shard => shard)
    const replaying = engine({ source: source({ shards: unowned }) })
    expect(await replaying.readBoth(keys, route.there.reader())).toBe(null)
    await expect(replaying.repair(keys)).rejects.toMatchObject({ code: 'FM_SHARD_UNKNOWN' })
    for (const { key } of keys) route.here.set(record(String(key)))
    await engine({ source: source({ shards: unowned }), apply: 'state' }).repair(keys)
    expect(route.arrived).toEqual(['a:1', 'b:1', 'b:2'])
  })
})

describe('while the traffic is moved', () => {
  it('no shard applies changes, and all of them are noted in one track', async () => {
    const one = engine()
    const over = one.run()
    await isLive('a', 'b')
    const track = await one.freeze()
    shards.run('a', 'SET', 'a:3', 'v')
    shards.run('b', 'SET', 'b:3', 'v')
    await until(() => one.seen('a', 'memory:0:1:end') && one.seen('b', 'memory:0:1:end'), 'both changes')
    expect([names(track.keys()).sort(), route.arrived]).toEqual([
      ['a:3', 'b:3'],
      ['a:1', 'a:2', 'b:1', 'b:2'],
    ])
    await one.thaw()
    shards.run('a', 'SET', 'a:4', 'v')
    shards.run('b', 'SET', 'b:4', 'v')
    await until(() => route.arrived.length === 8, 'all of them')
    await end(over)
  })

  it('a shard that is none keeps nobody waiting', () => {
    expect([engine().seen('gone', 'memory:0:1:end'), engine().seen('a', 'memory:0:1:end')]).toEqual([true, false])
  })
})

describe('ends that are held back', () => {
  it('are known by their shard, and given back when the run settles', async () => {
    const soon = Date.now() + 60_000
    route.here.set(record('a', 'v', soon))
    fill(route.here, 'b')
    const one = new Engine(route.needs())
    const over = one.run()
    await isLive('0')
    const endOf = (key: string): number | undefined => route.there.get(0, bytes(key))?.expireAt
    expect([one.holds(0, bytes('a')), one.holds(0, bytes('b'))]).toEqual([true, false])
    expect(endOf('a')).toBeGreaterThan(soon)
    expect(route.told).toContainEqual({ kind: 'held', shard: '0' })
    const settled = one.settle()
    route.source.run(command('SET', 'c', 'v'))
    await settled
    expect([endOf('a'), one.holds(0, bytes('a'))]).toEqual([soon, false])
    await end(over)
  })
})
