import { MemoryTarget } from '@ferrite-migrate/conformance'
import type { Shard } from '@ferrite-migrate/contracts'
import { until } from '@ferrite-migrate/servers'
import { beforeEach, describe, expect, it } from 'vitest'
import { type MigrationConfig, resolveConfig } from '../../dist/config/config.js'
import { silentLogger } from '../../dist/config/logger.js'
import { ChangeTrack } from '../../dist/engine/changes/change-track.js'
import type { ShardEvent } from '../../dist/engine/events/shard-event.js'
import { Progress } from '../../dist/engine/progress/progress.js'
import type { ShardTask } from '../../dist/workers/shard-task.js'
import { WorkerProcess } from '../../dist/workers/worker-process.js'
import { WorkerShards } from '../../dist/workers/worker-shards.js'
import { bytes, directory, names } from '../doubles.js'
import { memory } from '../memory-plugin/found.js'

const state = directory()

/** What this process knows of the shards that the workers run. */
const shards = ['a', 'b'].map(
  (id): Shard => ({
    id,
    async *read() {},
    owns: (_, key) => key[0] === id.charCodeAt(0),
    covers: (position, mark) => logOf(position) >= logOf(mark),
  }),
)
const logOf = (position: string): number => Number(position.split(':')[2])

let told: ShardEvent[]
let progress: Progress
let applied: Map<string, string>
let reading: AbortController
beforeEach(() => {
  told = []
  progress = new Progress()
  applied = new Map()
  reading = new AbortController()
})

function workers(source: string, config: Partial<MigrationConfig> = {}, task: Partial<ShardTask> = {}): WorkerShards {
  return new WorkerShards({
    task: {
      version: 1,
      migration: 'm',
      shards: shards.map(({ id }) => id),
      config: resolveConfig({ source, target: 'memory://0', mode: 'live', ...config }),
      plugins: [memory],
      apply: 'replay',
      lanes: 1,
      onlyDb: null,
      byKeys: false,
      claim: { epoch: 1, owner: 'o' },
      directory: state,
      journal: false,
      targetWasEmpty: true,
      resumed: null,
      ...task,
    },
    workers: 2,
    start: (one, listener) => new WorkerProcess(one, listener),
    patient: false,
    shards,
    applied,
    progress,
    logger: silentLogger,
    startedAt: Date.now(),
    isPaused: () => false,
    signal: reading.signal,
    stopping: new AbortController().signal,
    tell: (event) => {
      told.push(event)
      if (event.kind === 'position') applied.set(event.shard, event.position)
    },
  })
}
const areLive = (): Promise<void> =>
  until(() => told.filter((one) => one.kind === 'phase' && one.phase === 'LIVE_SYNC').length === 2, 'both shards')

describe('worker processes', () => {
  it('copy their shards, and what they count is counted here', async () => {
    await workers('memory://300', { mode: 'snapshot' }).run()
    expect(progress).toMatchObject({ keysDone: 600, keysTotal: 600, written: 600 })
    expect([...progress.shardCounts()].map(([id, { keysDone }]) => [id, keysDone]).sort()).toEqual([
      ['a', 300],
      ['b', 300],
    ])
    expect([...applied.keys()].sort()).toEqual(['a', 'b'])
  })

  it('tell which keys change, and while they are frozen how far they have read', async () => {
    const one = workers('memory://10,writes')
    const over = one.run()
    await areLive()
    const track = new ChangeTrack()
    await one.track(track)
    await until(() => track.size === 2, 'changes of both')
    expect(names(track.keys()).sort()).toEqual(['a:n', 'b:n'])
    const frozen = await one.freeze()
    const [at] = [...applied.values()]
    const later = `memory:0:${logOf(at) + 20}:end`
    await until(() => one.seen('a', later) && one.seen('b', later), 'what came behind that')
    expect(names(frozen.keys()).sort()).toEqual(['a:n', 'b:n'])
    await one.thaw()
    await until(() => [...applied.values()].every((position) => logOf(position) >= logOf(later)), 'what was frozen')
    reading.abort()
    await over
  })

  it('compare the keys of their shards, each its own, as long as somebody wants to know', async () => {
    const one = workers('memory://300')
    const over = one.run()
    await areLive()
    await one.track(new ChangeTrack())
    const told: number[] = []
    const parts = await one.compare((done) => told.push(done), new AbortController().signal)
    expect(parts).toMatchObject([
      { compared: 300, differences: [], complete: true },
      { compared: 300, differences: [], complete: true },
    ])
    expect(told.at(-1)).toBe(600)
    expect(await one.compare(() => undefined, AbortSignal.abort())).toBe(null)
    reading.abort()
    await over
    // Nobody is there to be asked any more.
    expect(await one.compare(() => undefined, new AbortController().signal)).toBe(null)
  })

  it('read keys at both ends where their shard is, in the order in which they were asked for', async () => {
    const one = workers('memory://10,writes')
    const over = one.run()
    await areLive()
    const keys = ['b:1', 'a:1', 'b:2'].map((key) => ({ db: 0, key: bytes(key) }))
    const unasked = new MemoryTarget().reader()
    const both = await one.readBoth(keys, unasked)
    expect([both?.source, both?.target].map((side) => side?.map((record) => String(record?.key)))).toEqual([
      ['b:1', 'a:1', 'b:2'],
      ['b:1', 'a:1', 'b:2'],
    ])
    expect(await one.readBoth([{ db: 0, key: bytes('z') }], unasked)).toBe(null)
    expect((await Promise.all(one.lags().map(({ lag }) => lag))).map((lag) => typeof lag?.keys)).toEqual([
      'number',
      'number',
    ])
    reading.abort()
    await over
  })
})

describe('a worker that fails', () => {
  it('ends all with its error, as it was', async () => {
    await expect(workers('memory://10,refuses').run()).rejects.toMatchObject({
      code: 'FM_CONNECT_LOST',
      message: 'the memory is gone',
      hint: 'Look.',
    })
  })

  it('says whose fault it is', async () => {
    await expect(workers('memory://10,breaks').run()).rejects.toMatchObject({
      code: 'FM_PLUGIN_FAULT',
      message: expect.stringContaining('memory'),
    })
  })

  it('cannot run a task that is none', async () => {
    await expect(workers('memory://10', {}, { lanes: 0 }).run()).rejects.toMatchObject({ code: 'FM_INTERNAL' })
    await expect(workers('memory://10', {}, { shards: ['a', 'z'] }).run()).rejects.toMatchObject({
      code: 'FM_SHARD_UNKNOWN',
    })
  })

  it('is followed by another one, as long as they get further', async () => {
    await expect(workers('memory://10,dies').run()).rejects.toMatchObject({ code: 'FM_WORKER_LOST' })
    const notes = told.flatMap((one) => (one.kind === 'note' && one.type === 'worker' ? [one.text] : []))
    expect(notes.length).toBeGreaterThanOrEqual(4)
    expect(new Set(notes)).toEqual(new Set(['a worker process was lost: it ended (7); another one goes on with b']))
  })
})
