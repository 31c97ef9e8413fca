import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DirtyKey,
  type KeyReader,
  type Logger,
  MigrateError,
  type Position,
  type Shard,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'
import { ChangeTrack } from '../engine/changes/change-track.js'
import type { BothEnds } from '../engine/changes/stream-stop.js'
import type { ComparedPart } from '../engine/compared-part.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import { covers } from '../engine/lanes/position-queue.js'
import type { Progress } from '../engine/progress/progress.js'
import type { ProgressCounts } from '../engine/progress/progress-counts.js'
import type { RunningShards, ShardLag } from '../engine/running-shards.js'
import { revived } from '../records/revived.js'
import type { ShardTask } from './shard-task.js'
import type { ShardWorker, StandingOrders, ToldByWorker, WorkerListener } from './shard-worker.js'
import type { ToWorker } from './worker-message.js'

/** What workers are given, and whom they tell. */
export interface WorkerShardsNeeds {
  /** The task of all; each worker gets some of its shards. */
  readonly task: Omit<ShardTask, 'worker' | 'paused'>
  readonly workers: number
  /** Has a worker do a task. */
  start(task: ShardTask, listener: WorkerListener): ShardWorker
  /** Where all workers look what they are to do, also those that come later; absent = each is told. */
  order?(orders: Partial<StandingOrders>): void
  /** However often a worker is lost, another one goes on. */
  readonly patient: boolean
  /** The source's shards, as this process has opened them: they tell what positions mean and who owns a key. */
  readonly shards: readonly Shard[]
  /** The last durable position of each shard. */
  readonly applied: ReadonlyMap<string, Position>
  readonly progress: Progress
  readonly logger: Logger
  readonly startedAt: number
  isPaused(): boolean
  /** Aborted = stop reading, write what was read, return. */
  readonly signal: AbortSignal
  /** Aborted = somebody wants an end soon. */
  readonly stopping: AbortSignal
  tell(event: ShardEvent): void
}

/** How often a worker may be lost without having got any further. */
const LOST_AT_MOST = 5
const AGAIN_MS = 500

/** Every key was compared by somebody. */
function areWhole(parts: readonly ComparedPart[]): boolean {
  const slots = parts.reduce<number | null>((sum, part) => (part.slots === null ? sum : (sum ?? 0) + part.slots), null)
  return parts.every(({ complete }) => complete) && (slots === null || slots === SLOTS)
}

/** One place of a worker: the process that has it now, and what it told. */
interface Place {
  readonly name: string
  readonly shards: readonly string[]
  process: ShardWorker | null
  counts: ProgressCounts | null
  lost: number
  /** Where its shards were when the last process was lost. */
  lostAt: string
}

function newPlace(name: string, shards: readonly string[]): Place {
  return { name, shards, process: null, counts: null, lost: 0, lostAt: '' }
}

/** The shards of a run in workers. One that dies is followed by another, which goes on where it was. */
export class WorkerShards implements RunningShards {
  private readonly needs: WorkerShardsNeeds
  private readonly places: Place[]
  private readonly underWay = new Set<Promise<void>>()
  private readonly read = new Map<string, Position>()
  private readonly swept = new Map<string, number>()
  private changes: ChangeTrack | null = null
  private frozen: ChangeTrack | null = null
  /** Ends all when one has failed. */
  private readonly failed = new AbortController()
  private failure: unknown
  /** Nobody here waits for them any more. */
  private readonly left = Promise.withResolvers<never>()

  constructor(needs: WorkerShardsNeeds) {
    this.needs = needs
    const { shards } = needs.task
    const count = Math.min(needs.workers, shards.length)
    this.places = Array.from({ length: count }, (_, i) =>
      newPlace(
        `w${i}`,
        shards.filter((_, j) => j % count === i),
      ),
    )
  }

  /** A shard that came after the run had begun, and has a worker already. */
  join(shard: string): void {
    if (this.places.some(({ shards }) => shards.includes(shard))) return
    const place = newPlace(`w${this.places.length}`, [shard])
    this.places.push(place)
    if (this.underWay.size > 0) this.begin(place)
  }

  async run(): Promise<void> {
    const { signal, stopping } = this.needs
    const end = (): void => this.tellAll({ kind: 'end-reading' })
    const stop = (): void => this.tellAll({ kind: 'stop' })
    signal.addEventListener('abort', end)
    stopping.addEventListener('abort', stop)
    try {
      for (const place of this.places) this.begin(place)
      while (this.underWay.size > 0) await Promise.race([...this.underWay, this.left.promise])
    } finally {
      signal.removeEventListener('abort', end)
      stopping.removeEventListener('abort', stop)
    }
    if (this.failure !== undefined) throw this.failure
  }

  /** `run` ends by FM_LEFT, and the workers go on. */
  leave(): void {
    this.left.reject(
      new MigrateError('FM_LEFT', 'this process does not follow the migration any more', 'Its workers go on.'),
    )
  }

  pausing(paused: boolean): void {
    this.needs.order?.({ paused })
    this.tellAll({ kind: paused ? 'pause' : 'resume' })
  }

  async settle(): Promise<void> {
    await this.askAll('settle')
  }

  async track(track: ChangeTrack | null): Promise<void> {
    this.changes = track
    this.needs.order?.({ tracking: track !== null })
    this.tellAll({ kind: 'track', on: track !== null })
  }

  get sweeps(): number {
    return Math.min(...this.needs.task.shards.map((shard) => this.swept.get(shard) ?? 0))
  }

  /** What is held is known to the workers alone: so nothing is any more. */
  async beforeComparison(): Promise<void> {
    await this.settle()
  }

  holds(): boolean {
    return false
  }

  async mustKeep(): Promise<void> {
    await this.askAll('mustKeep')
  }

  async freeze(): Promise<ChangeTrack> {
    const track = new ChangeTrack()
    this.frozen = track
    await this.askAll('freeze')
    return track
  }

  async thaw(): Promise<void> {
    this.frozen = null
    this.needs.order?.({ frozen: false })
    await this.askAll('thaw')
  }

  seen(shard: string, position: Position): boolean {
    const of = this.needs.shards.find(({ id }) => id === shard)
    const read = this.read.get(shard)
    return of === undefined || (read !== undefined && covers(of, read, position))
  }

  lags(): readonly ShardLag[] {
    return this.places.flatMap(({ process, shards }) => {
      const all = process === null ? Promise.resolve(null) : process.ask('lags').catch(() => null)
      return shards.map((shard, i) => ({ shard, lag: all.then((lags) => lags?.[i] ?? null) }))
    })
  }

  /** Each process has its own. */
  get batchesUnderWay(): null {
    return null
  }

  async readBoth(keys: readonly DirtyKey[], _target: KeyReader): Promise<BothEnds | null> {
    const groups = this.byOwner(keys)
    if (groups === null) return null
    const source: (SnapshotRecord | null)[] = []
    const target: (SnapshotRecord | null)[] = []
    for (const [place, indexes] of groups) {
      const both = await place.process?.ask(
        'readBoth',
        indexes.map((i) => keys[i]),
      )
      if (both === undefined || both === null) return null
      for (const [j, i] of indexes.entries()) {
        source[i] = both.source[j]
        target[i] = both.target[j]
      }
    }
    return { source, target }
  }

  async compare(done: (compared: number) => void, signal: AbortSignal): Promise<readonly ComparedPart[] | null> {
    // Whose a key is has to be known.
    const isUnknown = this.places.length > 1 && this.needs.shards.some(({ owns }) => owns === undefined)
    if (isUnknown || signal.aborted) return null
    let compared = 0
    const all = this.places.map(async ({ process, shards }) => {
      if (process === null) throw new Error(`the worker of ${shards.join(', ')} is lost`)
      const part = await process.ask('compare')
      compared += part.compared
      done(compared)
      return part
    })
    const aborted = new Promise<null>((resolve) =>
      signal.addEventListener('abort', () => resolve(null), { once: true }),
    )
    try {
      const parts = await Promise.race([Promise.all(all), aborted])
      if (parts !== null && areWhole(parts)) return parts
      if (parts !== null) throw new Error('not all keys were compared, or too many differ')
    } catch (error) {
      this.needs.logger.log(
        'info',
        `the workers could not compare their shards (${(error as Error).message}): the process of the migration does`,
      )
    }
    return null
  }

  async repair(keys: readonly DirtyKey[]): Promise<void> {
    const groups = this.byOwner(keys) ?? new Map([[this.places[0], keys.map((_, i) => i)]])
    for (const [place, indexes] of groups)
      await place.process?.ask(
        'repair',
        indexes.map((i) => keys[i]),
      )
  }

  private begin(place: Place): void {
    const work = this.runPlace(place).finally(() => this.underWay.delete(work))
    this.underWay.add(work)
  }

  /** Runs a place to its end: process after process, should they die. */
  private async runPlace(place: Place): Promise<void> {
    for (let resumed = this.needs.task.resumed; ; resumed = this.whereItWas(place)) {
      const error = await this.runProcess(place, resumed)
      place.process = null
      if (error === null || this.failed.signal.aborted) return
      if (error.code !== 'FM_WORKER_LOST' || !this.mayGoOn(place)) {
        this.failure ??= error
        this.failed.abort()
        // Nothing is written for a run that is lost.
        this.tellAll({ kind: 'end-reading' })
        return
      }
      const text = `${error.message}; another one goes on with ${place.shards.join(', ')}`
      this.needs.tell({ kind: 'note', shard: place.shards[0], type: 'worker', text })
      await sleep(AGAIN_MS)
    }
  }

  private runProcess(place: Place, resumed: ShardTask['resumed']): Promise<MigrateError | null> {
    const { task, signal, stopping } = this.needs
    return new Promise((resolve) => {
      const process = this.needs.start(
        { ...task, worker: place.name, shards: place.shards, resumed, paused: this.needs.isPaused() },
        {
          told: (message) => this.hear(place, message),
          over: (error) => void process.end().then(() => resolve(error)),
        },
      )
      place.counts = process.counted ?? null
      place.process = process
      if (this.changes !== null) process.tell({ kind: 'track', on: true })
      if (this.frozen !== null) void process.ask('freeze').catch(() => undefined)
      if (stopping.aborted) process.tell({ kind: 'stop' })
      else if (signal.aborted) process.tell({ kind: 'end-reading' })
    })
  }

  /** One that is lost again and again without getting any further is not started for ever. */
  private mayGoOn(place: Place): boolean {
    if (this.needs.signal.aborted) return false
    const at = place.shards.map((shard) => this.needs.applied.get(shard) ?? '').join(' ')
    const done = `${at} ${JSON.stringify(place.counts?.shards ?? null)}`
    place.lost = done === place.lostAt ? place.lost + 1 : 1
    place.lostAt = done
    if (this.needs.patient) return true
    return place.lost < LOST_AT_MOST
  }

  /** Where a process goes on that follows a dead one. */
  private whereItWas(place: Place): ShardTask['resumed'] {
    const { task, applied, startedAt } = this.needs
    // What changed while nobody looked is not known: a comparison looks at everything again.
    if (this.changes !== null) this.changes.overflow = true
    return {
      positions: Object.fromEntries([...applied].filter(([shard]) => place.shards.includes(shard))),
      held: { from: startedAt, to: Date.now() },
      inSnapshot: task.config.mode === 'snapshot',
    }
  }

  private hear(place: Place, message: ToldByWorker): void {
    switch (message.kind) {
      case 'event':
        return this.hearEvent(place, message.event)
      case 'changed': {
        const track = message.frozen ? this.frozen : this.changes
        if (track === null) return
        track.addKeys(revived<readonly DirtyKey[]>(message.keys))
        track.overflow ||= message.overflow
        track.resynced ||= message.resynced
        return
      }
      case 'seen':
        this.read.set(message.shard, message.position)
        return
      case 'log':
        return this.needs.logger.log(message.level, message.text)
    }
  }

  private hearEvent(place: Place, event: ShardEvent): void {
    if (event.kind === 'counted') {
      this.needs.progress.absorb(event.counts, place.counts)
      place.counts = event.counts
      return
    }
    if (event.kind === 'swept') this.swept.set(event.shard, (this.swept.get(event.shard) ?? 0) + 1)
    this.needs.tell(event)
  }

  private tellAll(message: ToWorker): void {
    for (const { process } of this.places) process?.tell(message)
  }

  private async askAll(what: 'settle' | 'mustKeep' | 'freeze' | 'thaw'): Promise<void> {
    await Promise.all(this.places.map(({ process }) => process?.ask(what)))
  }

  /** The places of keys by the worker whose shard owns them; null = of several nobody can tell. */
  private byOwner(keys: readonly DirtyKey[]): Map<Place, number[]> | null {
    if (this.places.length === 1) return new Map([[this.places[0], keys.map((_, i) => i)]])
    const groups = new Map<Place, number[]>()
    for (const [i, { db, key }] of keys.entries()) {
      const owner = this.needs.shards.find((shard) => shard.owns?.(db, key))
      const place = this.places.find(({ shards }) => owner !== undefined && shards.includes(owner.id))
      if (place === undefined) return null
      const group = groups.get(place)
      if (group === undefined) groups.set(place, [i])
      else group.push(i)
    }
    return groups
  }
}
