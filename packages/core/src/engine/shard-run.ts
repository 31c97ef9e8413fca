import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangesEvent,
  type DirtyEvent,
  type DirtyKey,
  type KeyReader,
  type Lag,
  MigrateError,
  type Position,
  type Shard,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import type { ChangeApplier } from './changes/change-applier.js'
import type { ChangeTrack } from './changes/change-track.js'
import { FrozenChanges } from './changes/frozen-changes.js'
import type { KeyValues } from './changes/key-values.js'
import type { BothEnds } from './changes/stream-stop.js'
import type { Checkpoints } from './checkpoints.js'
import { SourceReading } from './events/source-reading.js'
import type { HeldExpiries } from './expiry/held-expiries.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import type { PendingKeys } from './lanes/pending-keys.js'
import { covers } from './lanes/position-queue.js'
import { LostEnd } from './lost-end.js'
import { RememberedNames } from './remembered-names.js'
import type { Route, ShardRoute } from './route.js'
import { type ShardNeighbours, shardParts } from './shard-parts.js'
import { ShardSync } from './shard-sync.js'
import type { SnapshotWriter } from './snapshot/snapshot-writer.js'
import type { VanishedKeys } from './snapshot/vanished-keys.js'
import { KeptChanges } from './target-content/kept-changes.js'

/** How long changes that were received are still applied after a stop. */
const STOPS_WITHIN_MS = 2000

/** One shard's way to the target: snapshot, then changes, with everything that keeps them exact. */
export class ShardRun {
  /** Who wants to know which keys change. */
  track: ChangeTrack | null = null
  private readonly route: ShardRoute
  private readonly lanes: ShardLanes
  private readonly shard: Shard
  private readonly others: ShardNeighbours
  /** Keys whose commands are not replayed, or that are to be read again. */
  private readonly dirty: PendingKeys
  private readonly values: KeyValues
  private readonly vanished: VanishedKeys
  private readonly writer: SnapshotWriter
  private readonly checkpoints: Checkpoints
  private readonly held: HeldExpiries
  private readonly applier: ChangeApplier
  private readonly frozen: FrozenChanges
  private readonly kept: KeptChanges
  private readonly names: RememberedNames
  private readonly reading: SourceReading
  private readonly sync: ShardSync
  private readonly lost: LostEnd
  /** Where reading was asked to go on. */
  private from: Position | undefined
  /** The last position that was read. */
  private seen: Position | null = null
  private over = false
  private stoppingSince: number | null = null

  constructor(route: Route, lanes: ShardLanes, shard: Shard, lane: number, others: ShardNeighbours) {
    const parts = shardParts(route, lanes, shard, lane, others)
    this.route = parts.route
    this.values = parts.values
    this.vanished = parts.vanished
    this.writer = parts.writer
    this.checkpoints = parts.checkpoints
    this.dirty = parts.dirty
    this.held = parts.held
    this.applier = parts.applier
    this.lanes = lanes
    this.shard = shard
    this.others = others
    this.frozen = new FrozenChanges(route.filter)
    this.kept = new KeptChanges(route, parts.checkpoints)
    this.names = new RememberedNames(others.collisions, parts.values, route.signal)
    this.reading = new SourceReading(shard, route.plugin)
    this.sync = new ShardSync(shard.id, parts.route, { ...parts, lanes, names: this.names }, others)
    const { reading } = this
    this.lost = new LostEnd(parts.route, { ...parts, lanes, reading, recovery: others.recovery })
  }

  /** Comparisons of everything that came to their end. */
  get sweeps(): number {
    return this.sync.sweeps
  }

  async run(): Promise<void> {
    try {
      let from = await this.resumeFrom()
      for (;;) {
        try {
          if (await this.readFrom(from)) break
          from = undefined
        } catch (error) {
          if (!this.lost.isMendable(error, this.seen)) throw error
          from = await this.lost.goOn(error)
        }
      }
      await this.lanes.drain()
      await this.names.end()
      await this.applier.finish()
      await this.kept.mustKeepIfAsked()
    } finally {
      this.over = true
      this.frozen.close()
      await this.sync.close()
      await this.applier.close()
      await this.values.close()
      await this.writer.close()
    }
  }

  private async resumeFrom(): Promise<Position | undefined> {
    const { resumed, source, onNote } = this.route
    if (resumed === null) return undefined
    // Which names are taken is learned from the source again: from a reader of it, or by reading everything once more.
    const unknowable = this.others.collisions !== null && source.reader === undefined
    const position = await this.checkpoints.resumeFrom(unknowable)
    if (position === undefined) this.sync.learn(this.others.targetValues)
    onNote(
      'resumed',
      position === undefined
        ? 'going on: what the target already holds is not sent again'
        : `going on from ${position}`,
    )
    return position
  }

  /** False = the source must be read again from the start. */
  private async readFrom(from: Position | undefined): Promise<boolean> {
    this.from = from
    const { signal, config, filter, onNote, target } = this.route
    let again = false
    await this.reading.run(
      {
        // A source that is quiet gives nothing with which the loss of what it gave before would be found.
        signal: AbortSignal.any([signal, this.lanes.failed]),
        changes: config.mode !== 'snapshot',
        pace: () => this.route.pace(),
        wants: (db, key) => filter.takesKey(db, key),
        ...(target.advisedChanges === undefined ? {} : { changesAtOnce: target.advisedChanges }),
        ...(from === undefined ? {} : { from }),
      },
      async (event) => {
        again = !(await this.take(event))
        return !again && !this.mayStop(event)
      },
      (text) => onNote('stuck', text),
    )
    if (again) return false
    await this.lanes.drain()
    return true
  }

  /**
   * Whoever stops does not wait for a whole snapshot, nor for all that was spooled while the target was behind: what is left
   * comes again from the position that was reached.
   */
  private mayStop(event: SourceEvent): boolean {
    if (!this.route.stopping.aborted) return false
    this.stoppingSince ??= performance.now()
    return event.kind === 'snapshot' || performance.now() - this.stoppingSince > STOPS_WITHIN_MS
  }

  /** False = the source must be read again from the start. */
  private async take(event: SourceEvent): Promise<boolean> {
    this.names.check()
    if (event.kind === 'changes') this.seen = event.position
    if (await this.frozen.takes(event)) return true
    // The traffic stays where it was: what came meanwhile and was not written comes again.
    if (this.frozen.hasMissed()) {
      if ('release' in event) event.release?.()
      return false
    }
    switch (event.kind) {
      case 'sync':
        await this.sync.begin(event, this.from)
        return true
      case 'snapshot':
        await this.admit(event.records)
        await this.writer.write(event, this.sync.overwrites, this.sync.isSweep)
        return true
      case 'snapshot-end':
        await this.sync.end(event.position)
        return true
      case 'changes':
        return this.changes(event)
      case 'dirty':
        await this.readAgain(event)
        return true
      case 'left-out':
        this.route.progress.leaveOutMany(event.what, event.count, event.examples)
        return true
      case 'aside':
        if (!(await this.route.target.takeAside?.(event.what, event.payload)))
          this.route.progress.leaveOut(event.what, null)
        return true
    }
  }

  /** Waits for a pause or rate; the address of the target may name one database: what comes from a second one has no place there. */
  private async admit(records: readonly { readonly db: number }[]): Promise<void> {
    const { onlyDb, filter, gate } = this.route
    const other = onlyDb === null ? undefined : records.find(({ db }) => db !== onlyDb && filter.takesDb(db))
    if (other !== undefined)
      throw new MigrateError(
        'FM_DB_SEVERAL',
        `the address of the target names one database, and the source has begun to write to database ${other.db} as well as ${onlyDb}`,
        `Start anew and say where each goes (--db-map), or take only database ${onlyDb} (--db ${onlyDb}).`,
      )
    this.route.databases?.note(records)
    await gate.pass(records.length)
  }

  private async changes(event: ChangesEvent): Promise<boolean> {
    for (const each of [...this.frozen.kept(), event]) {
      await this.admit(each.records)
      this.kept.note(each.records)
      if (this.track !== null) for (const record of each.records) this.track.add(record)
      if (!(await this.applier.apply(each))) return false
    }
    await this.kept.mustKeepIfDue()
    return true
  }

  /** Keys that changed somehow: they are read again. */
  private async readAgain({ keys, sweep }: DirtyEvent): Promise<void> {
    const { filter, progress } = this.route
    this.track?.addKeys(keys)
    const taken = keys.filter(({ db, key }) => filter.takesKey(db, key))
    for (const key of taken.slice(-1)) this.kept.noteKey(key)
    this.route.databases?.note(taken)
    progress.changesApplied += taken.length
    progress.changesFiltered += keys.length - taken.length
    // Commands of such keys may be on their way: their values are read together with a place of the stream.
    if (this.exact) await this.applier.repair(taken)
    else {
      this.dirty.addAll(taken)
      await this.values.rewrite(this.dirty)
    }
    if (sweep) await this.values.persisting(() => this.sweep())
  }

  /**
   * Looks for target keys that the source no longer has. Where commands are replayed, such a key is not deleted at once: commands on
   * their way may still build upon it, or rename it.
   */
  private async sweep(): Promise<void> {
    const { vanished, values } = this
    const gone = this.exact ? await vanished.gone(values.source()) : null
    if (gone === null) await vanished.sweep(values.source())
    else await this.applier.repair(gone)
  }

  /** Changes are replayed, and values can be read at a place of their stream. */
  private get exact(): boolean {
    const { apply, config } = this.route
    return apply === 'replay' && config.mode !== 'snapshot' && this.shard.readAt !== undefined
  }

  /** No expiry is held from now on; resolves when every held key has its own again. */
  async settle(): Promise<void> {
    this.applier.settle()
    while (this.held.keys.size > 0 && !this.over) await sleep(10)
  }

  /** The traffic is being moved: changes are noted there, and no longer applied; null = they are again. */
  freeze(track: ChangeTrack | null): void {
    this.frozen.track = track
  }

  /** Reads back what was written last. @throws MigrateError FM_TARGET_KEEPS_NOTHING */
  mustKeep(): Promise<void> {
    return this.kept.mustKeep()
  }

  /** Whether a key is this shard's now; undefined = nobody can tell. */
  owns(db: number, key: Buffer): boolean | undefined {
    return this.shard.owns?.(db, key)
  }

  /** How far it is behind its source; null = unknown. */
  async lag(): Promise<Lag | null> {
    return (await this.shard.lag?.(this.checkpoints.position ?? undefined)) ?? null
  }

  holds(db: number, key: Buffer): boolean {
    return this.held.keys.has(db, key)
  }

  /** The last position that was read. */
  get lastSeen(): Position | null {
    return this.seen
  }

  hasSeen(position: Position): boolean {
    return this.seen !== null && covers(this.shard, this.seen, position)
  }

  /** What both ends hold at one place of the stream; null where that cannot be had. */
  readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    return this.applier.readBoth(keys, target)
  }

  /** Reads these keys again and writes what they are. */
  repair(keys: readonly DirtyKey[]): Promise<void> {
    return this.applier.repair(keys)
  }
}
