import { isDeepStrictEqual } from 'node:util'
import { MemoryTarget } from '@ferrite-migrate/conformance'
import {
  type ChangeBatch,
  type Checkpoint,
  MigrateError,
  type Shard,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { PackedValues } from '@ferrite-migrate/protocol'
import { until } from '@ferrite-migrate/servers'
import { beforeEach, describe, expect, it } from 'vitest'
import { ChangeTrack } from '../../dist/engine/changes/change-track.js'
import type { ShardRun } from '../../dist/engine/shard-run.js'
import { RecordFilter } from '../../dist/index.js'
import { KnownValues } from '../../dist/records/known-values.js'
import { bytes, command, names, record } from '../doubles.js'
import { fill, MemoryRoute, sourceWith } from './memory-route.js'

let route: MemoryRoute
beforeEach(() => {
  route = new MemoryRoute()
})

const resumed = { positions: new Map<string, string>(), held: null, inSnapshot: false }
/** A shard that gives these events, whatever it is asked for. */
function giving(...events: SourceEvent[]): Shard {
  return {
    id: '0',
    async *read() {
      yield* events
    },
  }
}
const FULL: SourceEvent = { kind: 'sync', mode: 'full' }
const END: SourceEvent = { kind: 'snapshot-end' }
const snapshot = (...keys: string[]): SourceEvent => ({
  kind: 'snapshot',
  records: keys.map((key) => record(key)),
  byteLength: 0,
})
const isThere = (key: string, value: string): Promise<void> =>
  until(() => isDeepStrictEqual(route.there.get(0, bytes(key))?.value, record(key, value).value), `${key} = ${value}`)
const haveArrived = (...keys: string[]): Promise<void> =>
  until(() => isDeepStrictEqual(route.arrived, keys), `${keys} to have arrived`)
const isLive = (): Promise<void> => until(() => route.isIn('LIVE_SYNC'), 'the end of the copy')
/** Runs until the target follows the source. */
async function live(run: ShardRun): Promise<{ end(): Promise<void> }> {
  const over = run.run()
  await Promise.race([over, isLive()])
  return {
    end: () => {
      route.stop()
      return over
    },
  }
}

describe('a shard', () => {
  it('is copied, and its changes follow in order with their positions', async () => {
    fill(route.here, 'a', 'b')
    const target = new MemoryTarget(route.there)
    const run = await live(route.shard({ target }))
    expect(route.arrived).toEqual(['a', 'b'])
    route.source.run(command('SET', 'c', '1'))
    route.source.run(command('SET', 'c', '2'), command('DEL', 'a'))
    await isThere('c', '2')
    await run.end()
    expect(route.arrived).toEqual(['b', 'c'])
    expect((await target.checkpoint('m', '0'))?.position).toBe('memory:0:2:end')
    expect(route.told.filter(({ kind }) => kind === 'phase')).toEqual([
      { kind: 'phase', shard: '0', phase: 'INITIAL_SYNC' },
      { kind: 'phase', shard: '0', phase: 'LIVE_SYNC' },
    ])
    expect(route.progress).toMatchObject({ keysDone: 2, keysTotal: 2 })
  })

  it('whose changes are applied by state writes what its keys are', async () => {
    const run = await live(route.shard({ apply: 'state' }))
    route.source.run(command('SET', 'a', '1'))
    route.source.changed({
      db: 0,
      key: bytes('s'),
      value: { form: 'items', type: 'set', items: [bytes('x')] },
      expireAt: 0,
    })
    await haveArrived('a', 's')
    await run.end()
  })

  it('of which only a snapshot is wanted ends with it', async () => {
    fill(route.here, 'a')
    await route.shard({ config: { mode: 'snapshot' } }).run()
    expect([route.arrived, route.isIn('INITIAL_SYNC')]).toEqual([['a'], true])
  })

  it('tells what it leaves out, and what no record can carry', async () => {
    const given: SourceEvent[] = [
      { kind: 'left-out', what: 'a module', count: 3, examples: [bytes('m')] },
      { kind: 'aside', what: 'function', payload: bytes('lib') },
    ]
    await route.shard({ config: { mode: 'snapshot' } }, giving(FULL, ...given, END)).run()
    const left = [...route.progress.notCarried].map(([what, { count }]) => [what, count])
    expect(left).toEqual([
      ['a module', 3],
      ['function', 1],
    ])
  })

  it('does not write a second database where the target has one', async () => {
    const other: SourceEvent = { kind: 'snapshot', records: [record('a'), record('b', 'v', 0, 2)], byteLength: 0 }
    await expect(route.shard({ onlyDb: 0 }, giving(FULL, other)).run()).rejects.toMatchObject({ code: 'FM_DB_SEVERAL' })
    expect(route.arrived).toEqual([])
    // One that the filter does not take does not count.
    const filter = new RecordFilter({ dbs: [0] })
    await route.shard({ onlyDb: 0, filter, config: { mode: 'snapshot' } }, giving(FULL, other, END)).run()
    expect(route.arrived).toEqual(['a'])
  })

  it('reads keys again that changed somehow, where the filter takes them', async () => {
    fill(route.here, 'a', 'b')
    const filter = new RecordFilter({ exclude: ['b'] })
    const keys = [record('a'), record('b'), record('gone')]
    fill(route.there, 'gone')
    await route.shard({ apply: 'state', filter }, giving(FULL, END, { kind: 'dirty', keys })).run()
    expect(route.arrived).toEqual(['a'])
    expect(route.progress).toMatchObject({ changesApplied: 2, changesFiltered: 1 })
  })

  it('finds by a sweep what no event told', async () => {
    fill(route.there, 'vanished')
    const sweep: SourceEvent = { kind: 'sync', mode: 'sweep' }
    const run = route.shard(
      { apply: 'state', source: sourceWith({ capabilities: { changes: 'lossy', resume: 'none' } }, route.source) },
      giving(FULL, snapshot('a'), END, sweep, snapshot('a', 'b'), END),
    )
    await run.run()
    expect([run.sweeps, route.arrived]).toEqual([1, ['a', 'b']])
    // What came once more was counted before.
    expect(route.progress.keysDone).toBe(1)
    expect(route.notes).toContain('compared: 1 key was right at the target already, 1 written')
  })
})

describe('a shard that goes on', () => {
  it('reads from the checkpoint at the target', async () => {
    const target = new MemoryTarget(route.there)
    const first = await live(route.shard({ target }))
    route.source.run(command('SET', 'a', '1'))
    await isThere('a', '1')
    await first.end()
    route = route.again()
    route.source.run(command('SET', 'b', '1'))
    const again = await live(route.shard({ target, resumed }))
    await until(async () => (await target.checkpoint('m', '0'))?.position === 'memory:0:2:end', 'its checkpoint')
    await again.end()
    expect(route.notes).toContain('resumed: going on from memory:0:1:end')
    expect(route.told).toContainEqual({ kind: 'synced', shard: '0', mode: 'partial' })
    // Nothing was copied once more.
    expect(route.progress.keysDone).toBe(0)
  })

  it('copies only what differs where the source cannot go on', async () => {
    fill(route.here, 'a', 'b')
    fill(route.there, 'a')
    const target = new MemoryTarget(route.there)
    const place: Checkpoint = { migration: 'm', shard: '0', position: 'memory:0:0:end', dirty: [] }
    await target.write({ kind: 'changes', lane: 0, records: [] }, place)
    route.source.startOver()
    const run = await live(route.shard({ target, resumed }))
    await run.end()
    expect(route.arrived).toEqual(['a', 'b'])
    expect(route.notes).toContain('compared: 1 key was right at the target already, 1 written')
  })

  it('asks only for what may differ where it knows at once what the target holds, and finds what vanished', async () => {
    const packed = (...keys: readonly (readonly [string, string])[]) => {
      const values = new PackedValues()
      for (const [key, value] of keys) values.add(0, bytes(key), bytes(value), 0)
      return values.take()
    }
    const known = new KnownValues()
    for (const one of packed(['same', 'v'], ['other', 'before'], ['gone', 'v'], ['late', 'v'])) known.add(one)
    // Whoever asks for others would find that they are not there.
    fill(route.there, 'other', 'gone')
    const asked = new MemoryTarget(route.there)
    const reads: string[] = []
    const read = asked.reader.bind(asked)
    asked.reader = () => {
      const reader = read()
      const former = reader.read.bind(reader)
      reader.read = (...args) => {
        reads.push(...args[1].map(String))
        return former(...args)
      }
      return reader
    }
    const records = packed(['same', 'v'], ['other', 'now'], ['new', 'v'], ['late', 'v'])
    const run = route.shard(
      { target: asked, resumed, targetValues: async () => known, config: { mode: 'snapshot' } },
      giving(FULL, { kind: 'snapshot', records, byteLength: 1 }, END),
    )
    await run.run()
    expect(route.arrived).toEqual(['new', 'other'])
    expect(route.notes).toContain('compared: 2 keys were right at the target already, 2 written')
    expect(route.notes).toContain('vanished: 1 key that vanished at the source was deleted at the target')
    expect(reads).toEqual(['other'])
  })
})

/** A target that is lost once, after it has taken so many batches of changes. */
class LosingTarget extends MemoryTarget {
  reconnected = 0
  private left: number
  private readonly loses: () => void

  constructor(route: MemoryRoute, left: number, loses: () => void = () => undefined) {
    super(route.there)
    this.left = left
    this.loses = loses
  }

  async reconnect(): Promise<void> {
    this.reconnected++
  }

  protected override async changes(batch: ChangeBatch, checkpoint?: Checkpoint): ReturnType<MemoryTarget['changes']> {
    if (batch.records.length > 0 && this.left-- === 0) {
      this.loses()
      throw new MigrateError('FM_TARGET_LOST', 'it was started again', 'Look.')
    }
    return super.changes(batch, checkpoint)
  }

  /** What it held is gone as well. */
  loseAll(): void {
    this.store.records.clear()
    this.kept.clear()
  }
}

describe('a target that is lost', () => {
  it('is gone on with from its own checkpoint', async () => {
    const target = new LosingTarget(route, 1)
    const run = await live(route.shard({ target }))
    for (const value of ['1', '2', '3']) {
      route.source.run(command('SET', 'a', value))
      await isThere('a', value)
    }
    await run.end()
    expect(target.reconnected).toBe(1)
    expect(route.notes).toContain('target-lost: it was started again: going on from the checkpoint at the target')
    expect(route.told.filter(({ kind }) => kind === 'synced')).toEqual([
      { kind: 'synced', shard: '0', mode: 'full' },
      { kind: 'synced', shard: '0', mode: 'partial' },
    ])
  })

  it('is copied again where its checkpoint is gone as well', async () => {
    fill(route.here, 'a', 'b')
    const target: LosingTarget = new LosingTarget(route, 0, () => target.loseAll())
    const run = await live(route.shard({ target }))
    route.source.run(command('SET', 'c', '1'))
    await isThere('c', '1')
    await run.end()
    expect(route.arrived).toEqual(['a', 'b', 'c'])
    expect(route.notes).toContain('target-lost: it was started again: copying again')
  })

  it('ends a run that is to stop', async () => {
    const target = new LosingTarget(route, 0, () => route.stop())
    const run = route.shard({ target })
    const over = run.run()
    await isLive()
    route.source.run(command('SET', 'a', '1'))
    await expect(over).rejects.toMatchObject({ code: 'FM_TARGET_LOST' })
  })

  it('is no other failure', async () => {
    const target = new MemoryTarget(route.there)
    target.write = () => Promise.reject(new Error('broken'))
    fill(route.here, 'a')
    await expect(route.shard({ target }).run()).rejects.toThrow('broken')
  })
})

describe('a stop', () => {
  it('does not wait for the whole snapshot', async () => {
    const read: string[] = []
    const shard: Shard = {
      id: '0',
      async *read() {
        yield FULL
        for (const key of ['a', 'b', 'c']) {
          read.push(key)
          if (key === 'b') route.wantEnd()
          yield snapshot(key)
        }
      },
    }
    await route.shard({}, shard).run()
    expect([read, route.arrived]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
  })
})

describe('changes while the traffic is moved', () => {
  it('are noted and not applied, and are applied when it stays', async () => {
    const one = route.shard()
    const run = await live(one)
    const track = new ChangeTrack()
    one.freeze(track)
    route.source.run(command('SET', 'a', '1'))
    await until(() => one.hasSeen('memory:0:1:end'), 'the reading of it')
    expect([names(track.keys()), route.arrived]).toEqual([['a'], []])
    one.freeze(null)
    route.source.run(command('SET', 'b', '1'))
    await haveArrived('a', 'b')
    await run.end()
  })

  it('are read once more where one was none that can be kept', async () => {
    fill(route.here, 'a')
    const one = route.shard({ apply: 'state' })
    const run = await live(one)
    one.freeze(new ChangeTrack())
    const set = { form: 'items', type: 'set', items: [bytes('x')] } as const
    route.source.changed({ db: 0, key: bytes('s'), value: set, expireAt: 0 })
    route.source.run(command('SET', 'b', '1'))
    await until(() => one.hasSeen('memory:0:2:end'), 'the reading of it')
    one.freeze(null)
    route.source.run(command('SET', 'c', '1'))
    await haveArrived('a', 'b', 'c', 's')
    await run.end()
    expect(route.told.filter(({ kind }) => kind === 'synced')).toHaveLength(2)
  })

  it('tells a target of parts which keys are dirty before their commands are left out, and before their values come', async () => {
    const log: string[] = []
    class Parts extends MemoryTarget {
      override async write(
        ...[batch, checkpoint]: Parameters<MemoryTarget['write']>
      ): ReturnType<MemoryTarget['write']> {
        const what =
          batch.kind === 'snapshot' ? `value ${names(batch.records)}` : batch.records.map(({ argv }) => argv.join(' '))
        const said = `${what} ${checkpoint === undefined ? '' : `dirty ${names(checkpoint.dirty)}`}`.trim()
        log.push(`begin ${said}`)
        // A mark takes longer than anything else.
        if (batch.kind === 'changes' && batch.records.length === 0) await new Promise((done) => setTimeout(done, 50))
        const result = await super.write(batch, checkpoint)
        log.push(`end ${said}`)
        return result
      }

      partOf(): number {
        return 0
      }
    }
    const change = (position: string, ...changes: string[][]): SourceEvent => ({
      kind: 'changes',
      records: changes.map((one) => command(...one)),
      byteLength: 10,
      position,
    })
    const shard: Shard = {
      ...giving(
        FULL,
        { kind: 'snapshot-end', position: '1' },
        change('2', ['SET', 'before', '1']),
        { kind: 'dirty', keys: [{ db: 0, key: bytes('k') }] },
        change('3', ['INCR', 'k'], ['SET', 'other', '1']),
        change('9', ['SET', 'last', '1']),
      ),
      covers: (position, mark) => Number(position) >= Number(mark),
      readAt: async (keys) => ({ records: keys.map(({ key }) => record(String(key), '7')), position: '8' }),
    }
    await route.shard({ target: new Parts(route.there) }, shard).run()
    const at = (text: string): number => log.findIndex((line) => line.startsWith(text))
    expect(at('end dirty k')).toBeGreaterThanOrEqual(0)
    expect(at('begin SET other')).toBeGreaterThan(at('end dirty k'))
    expect(at('begin value k')).toBeGreaterThan(log.lastIndexOf('end dirty k'))
    expect(log.join()).not.toContain('INCR k')
    await isThere('k', '7')
  })
})
