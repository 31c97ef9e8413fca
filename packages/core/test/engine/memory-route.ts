import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { Shard, Source } from '@ferrite-migrate/contracts'
import { type MigrationConfig, resolveConfig } from '../../dist/config/config.js'
import { silentLogger } from '../../dist/config/logger.js'
import type { EngineNeeds } from '../../dist/engine/engine.js'
import type { ShardEvent } from '../../dist/engine/events/shard-event.js'
import { Gate } from '../../dist/engine/lanes/gate.js'
import { LanePool } from '../../dist/engine/lanes/lane-pool.js'
import { TargetRecovery } from '../../dist/engine/lanes/target-recovery.js'
import { Progress } from '../../dist/engine/progress/progress.js'
import { type ShardNeighbours, type ShardParts, shardParts } from '../../dist/engine/shard-parts.js'
import { ShardRun } from '../../dist/engine/shard-run.js'
import { SeenKeys } from '../../dist/engine/snapshot/seen-keys.js'
import { TargetValues } from '../../dist/engine/snapshot/target-values.js'
import { WrittenSample } from '../../dist/engine/target-content/written-sample.js'
import { NO_TRANSFORM, RecordFilter } from '../../dist/index.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { names, record } from '../doubles.js'

/** What a test wants to be otherwise. */
export interface Given extends Partial<Omit<EngineNeeds, 'config'>> {
  readonly config?: Partial<MigrationConfig>
}

/** A way from memory to memory, live and by replay where nothing else is said, and what was told on it. */
export class MemoryRoute {
  readonly here: MemoryStore
  readonly there: MemoryStore
  readonly source: MemorySource
  readonly progress = new Progress()
  readonly gate = new Gate(0)
  readonly told: ShardEvent[] = []
  private readonly reading = new AbortController()
  private readonly stopping = new AbortController()

  constructor(here = new MemoryStore(), there = new MemoryStore(), source = new MemorySource(here)) {
    this.here = here
    this.there = there
    this.source = source
  }

  /** The same ends, for a run that goes on. */
  again(): MemoryRoute {
    return new MemoryRoute(this.here, this.there, this.source)
  }

  /** Ends the reading, as `stop` of a migration does. */
  stop(): void {
    this.stopping.abort()
    this.reading.abort()
  }

  /** Somebody wants an end, and the source has not heard of it yet. */
  wantEnd(): void {
    this.stopping.abort()
  }

  needs({ config = {}, ...given }: Given = {}): EngineNeeds {
    const filter = given.filter ?? new RecordFilter({})
    const transform = given.transform ?? NO_TRANSFORM
    return {
      id: 'm',
      databases: null,
      config: resolveConfig({ source: 'memory://here', target: 'memory://there', mode: 'live', ...config }),
      apply: 'replay',
      plugin: 'a-plugin',
      source: this.source,
      target: new MemoryTarget(this.there),
      lanes: 1,
      onlyDb: null,
      filter,
      transform,
      targetKeys: new TargetKeys(filter, transform),
      targetWasEmpty: true,
      foreign: null,
      wrote: () => false,
      resumed: null,
      progress: this.progress,
      logger: silentLogger,
      gate: this.gate,
      errorRate: null,
      signal: this.reading.signal,
      stopping: this.stopping.signal,
      admit: () => undefined,
      pace: () => 0,
      tell: (event) => this.told.push(event),
      ...given,
    }
  }

  /** One shard alone, and its lanes. */
  shard(given: Given = {}, shard: Shard = this.source.shards[0]): ShardRun {
    const needs = this.needs(given)
    return new ShardRun(needs, this.lanes(needs), shard, 0, this.neighbours(needs, shard))
  }

  /** What one shard is made of. */
  parts(
    given: Given = {},
    shard: Shard = this.source.shards[0],
  ): ShardParts & { lanes: ReturnType<LanePool['forShard']> } {
    const needs = this.needs(given)
    const lanes = this.lanes(needs)
    return { ...shardParts(needs, lanes, shard, 0, this.neighbours(needs, shard)), lanes }
  }

  private lanes({ target, lanes }: EngineNeeds): ReturnType<LanePool['forShard']> {
    return new LanePool(target, lanes, (result) => this.progress.add(result)).forShard()
  }

  private neighbours(needs: EngineNeeds, shard: Shard): ShardNeighbours {
    const { target, id } = needs
    return {
      collisions: null,
      targetValues: new TargetValues(needs.targetValues ?? null),
      sample: new WrittenSample(),
      seen: new SeenKeys([shard.id]),
      recovery: new TargetRecovery(target, id),
    }
  }

  /** What was told in words, with its kind before it. */
  get notes(): string[] {
    return this.told.flatMap((event) => (event.kind === 'note' ? [`${event.type}: ${event.text}`] : []))
  }

  isIn(phase: 'INITIAL_SYNC' | 'LIVE_SYNC'): boolean {
    return this.told.some((event) => event.kind === 'phase' && event.phase === phase)
  }

  /** The names that the target holds. */
  get arrived(): string[] {
    return names(this.there.records.values()).sort()
  }
}

export function fill(store: MemoryStore, ...keys: readonly string[]): void {
  for (const key of keys) store.set(record(key))
}

/** The same source with other shards, or able to do something else. */
export function sourceWith(given: Partial<Source>, of: Source): Source {
  return {
    capabilities: of.capabilities,
    description: of.description,
    shards: of.shards,
    reader: () => of.reader!(),
    [Symbol.asyncDispose]: async () => undefined,
    ...given,
  }
}
