import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger, Source, Target } from '@ferrite-migrate/contracts'
import {
  type ChangeRecord,
  type ChangesEvent,
  type Checkpoint,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type Position,
  type Shard,
  type SourceEvent,
  type SyncEvent,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { commandRecord, commandSpecOf, databaseNumber } from '@ferrite-migrate/protocol'
import type { ResolvedConfig } from '../config/config.js'
import type { RecordFilter } from '../records/key-filter.js'
import { printableKey } from '../records/printable-key.js'
import type { CollisionGuard } from '../transform/collision-guard.js'
import type { RecordTransform } from '../transform/record-transform.js'
import type { RenamedCommands } from '../transform/renamed-commands.js'
import type { TargetKeys } from '../transform/target-keys.js'
import { ChangeRouter } from './changes/change-router.js'
import type { ChangeTrack } from './changes/change-track.js'
import { flushCommands } from './changes/flushed-keys.js'
import type { KeyValuesNeeds } from './changes/key-values.js'
import { KeyValues } from './changes/key-values.js'
import { type BothEnds, StreamStop } from './changes/stream-stop.js'
import type { ExpiryGuardNeeds } from './expiry/expiry-guard.js'
import { ExpiryGuard } from './expiry/expiry-guard.js'
import type { HeldExpiriesNeeds } from './expiry/held-expiries.js'
import { HeldExpiries } from './expiry/held-expiries.js'
import { endCommand, LaterEnds } from './expiry/later-end.js'
import { PostponedEnds } from './expiry/postponed-ends.js'
import type { Gate } from './lanes/gate.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import { PendingKeys } from './lanes/pending-keys.js'
import { covers, PositionQueue } from './lanes/position-queue.js'
import type { TargetRecovery } from './lanes/target-recovery.js'
import type { Progress } from './progress/progress.js'
import type { SeenKeys } from './snapshot/seen-keys.js'
import type { SnapshotWriterNeeds } from './snapshot/snapshot-writer.js'
import { SnapshotWriter } from './snapshot/snapshot-writer.js'
import type { VanishedKeysNeeds } from './snapshot/vanished-keys.js'
import { VanishedKeys } from './snapshot/vanished-keys.js'
import { ChangedSample } from './target-content/changed-sample.js'
import type { ForeignKeys, Parted } from './target-content/foreign-keys.js'
import type { WrittenSample } from './target-content/written-sample.js'

/** Where a migration goes on. */
export interface Resumed {
  /** Saved positions by shard, where the target keeps no checkpoint. */
  readonly positions: ReadonlyMap<string, Position>
  /** Expiries may be later at the target than at the source; these were held between the two times. */
  readonly held: { readonly from: number; readonly to: number } | null
  /** A file or scan goes on in the middle of its snapshot. */
  readonly inSnapshot: boolean
}

/** What a shard is brought from, where to, and whom it tells. */
export interface ShardRunOptions
  extends KeyValuesNeeds,
    SnapshotWriterNeeds,
    VanishedKeysNeeds,
    HeldExpiriesNeeds,
    ExpiryGuardNeeds {
  readonly id: string
  readonly config: Pick<ResolvedConfig, 'mode' | 'onConflict' | 'deleteExtra' | 'syncTimeoutMs'>
  /** The one database of the source whose keys may be written; null = any. */
  readonly onlyDb: number | null
  readonly apply: 'replay' | 'state'
  readonly source: Source
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  /** The target's keys that may be this migration's. */
  readonly targetKeys: TargetKeys
  readonly progress: Progress
  readonly logger: Logger
  /** Aborted = stop reading, write what was read, return. */
  readonly signal: AbortSignal
  /** Aborted = somebody wants an end soon: what was received and not yet written may stay behind. */
  readonly stopping: AbortSignal
  /** The target held no key of this migration's when it started, so whatever vanishes at the source may be deleted. */
  readonly targetWasEmpty: boolean
  /** Keys of the target that are not this migration's; null = there are none, or nobody can tell. */
  readonly foreign: ForeignKeys | null
  /** True for keys that this migration is known to have written. */
  wrote(db: number, key: Buffer): boolean
  /** What a former process of this migration reached; null = it is the first. */
  readonly resumed: Resumed | null
  readonly gate: Gate
  /** How long to rest before more of the snapshot is read, ms. */
  pace(): number
  /** How the source answered: with everything, or from where it was asked. */
  onSync(mode: 'full' | 'partial'): void
  /** Called once when the first expiry is held back. */
  onHeld(): void
  onPhase(phase: 'INITIAL_SYNC' | 'LIVE_SYNC'): void
  onPosition(shard: string, position: Position): void
  onNote(type: string, text: string): void
}

const READ_AT_ONCE = 1000
/** What the source no longer has may still be used by commands on their way. */
const GONE_MS = 500
/** How often it is made sure that the target keeps what it is told. */
const KEPT_MS = 30_000
/** How long changes that were received are still applied after a stop. */
const STOPS_WITHIN_MS = 2000

/** One shard's way to the target: snapshot, then changes, with everything that keeps them exact. */
export class ShardRun {
  private readonly options: ShardRunOptions
  private readonly lanes: ShardLanes
  private readonly shard: Shard
  private readonly lane: number
  private readonly sample: WrittenSample
  private readonly wentLive: () => void
  private readonly recovery: TargetRecovery
  /** Of the target, since this shard writes to it. */
  private generation: number
  /** Under replay: keys whose commands are not replayed. Under state: keys to read. */
  private readonly dirty = new PendingKeys()
  private readonly ends: LaterEnds
  private readonly router: ChangeRouter
  private readonly values: KeyValues
  /** Looks for keys that get one name; null = the rules keep names apart. */
  private readonly collisions: CollisionGuard | null
  /** The last position that is durable. */
  private position: Position | null = null
  private syncs = 0
  private syncedAt = 0
  /** Where reading was asked to go on. */
  private from: Position | undefined
  private readonly vanished: VanishedKeys
  private readonly writer: SnapshotWriter
  private readonly positions = new PositionQueue((position) => this.durable(position))
  private readonly held: HeldExpiries
  private readonly postponed: PostponedEnds
  private readonly guard: ExpiryGuard
  private readonly healed = new Set<string>()
  private settling = false
  /** Everything comes once more while changes are followed. */
  private sweeping = false
  /** Comparisons of everything that came to their end. */
  sweeps = 0
  /** Who wants to know which keys change. */
  track: ChangeTrack | null = null
  /** The traffic is being moved: changes are noted here, and no longer applied. */
  frozen: ChangeTrack | null = null
  /** What came while it was frozen, to be applied when the traffic stays where it was. Behind a fence it is little. */
  private readonly heldBack: ChangesEvent[] = []
  /** Something that is no change came while it was frozen: everything has to be read again if it goes on. */
  private missed = false
  private readonly changed = new ChangedSample()
  /** When it was last made sure that the target keeps what it is told. */
  private keptAt = Date.now()
  /** The last position that was read. */
  private seen: Position | null = null
  private readonly stop: StreamStop
  private over = false
  private stoppingSince: number | null = null
  private remembering: Promise<void> | null = null
  private rememberFailure: Error | null = null

  constructor(
    options: ShardRunOptions,
    lanes: ShardLanes,
    shard: Shard,
    lane: number,
    collisions: CollisionGuard | null,
    sample: WrittenSample,
    seen: SeenKeys,
    recovery: TargetRecovery,
    wentLive: () => void,
  ) {
    this.options = options
    this.lanes = lanes
    this.shard = shard
    this.lane = lane
    this.sample = sample
    this.wentLive = wentLive
    this.recovery = recovery
    this.generation = recovery.generation
    this.held = new HeldExpiries(options, () => this.values.source())
    this.postponed = new PostponedEnds(options)
    this.vanished = new VanishedKeys(options, lanes, lane, shard.id, seen)
    this.collisions = collisions
    this.values = new KeyValues(options, lanes, lane, this.collisions)
    this.stop = new StreamStop(options, lanes, shard)
    // An expiry is held only where the source can be asked for it later.
    this.ends = new LaterEnds(options.source.reader !== undefined ? 'hold' : 'postpone')
    this.router = new ChangeRouter(
      {
        apply: options.apply,
        renames: options.transform.renames,
        filter: options.filter,
        knows: (name) => options.target.knows?.(name) ?? true,
        relativeExpiry: options.source.relativeExpiry ?? false,
        flushesAll: options.foreign === null || options.foreign.policy === 'replace',
      },
      this.ends,
      this.dirty,
      this.held.keys,
    )
    this.guard = new ExpiryGuard(options, shard, this.dirty)
    const { ends, held, postponed, vanished, positions } = this
    const counts = options.progress.of(shard.id)
    this.writer = new SnapshotWriter(options, lanes, {
      ...{ ends, held, postponed, vanished, positions, counts, collisions },
    })
  }

  async run(): Promise<void> {
    try {
      let from = await this.resumeFrom()
      for (;;) {
        try {
          if (await this.readFrom(from)) break
          from = undefined
        } catch (error) {
          if (!(error instanceof MigrateError) || error.code !== 'FM_TARGET_LOST' || this.options.signal.aborted)
            throw error
          from = await this.afterTargetLoss(error)
        }
      }
      await this.lanes.drain()
      await this.remembering
      if (this.rememberFailure !== null) throw this.rememberFailure
      await this.releaseHeld()
      this.guard.settle()
      await this.finishDirty()
      await this.restoreEnds()
      await this.mustKeepIfAsked()
    } finally {
      this.over = true
      for (const event of this.heldBack.splice(0)) event.release?.()
      this.stop.end()
      await this.guard.close()
      await this.values.close()
      await this.writer.close()
    }
  }

  /** Where a former process left off: the checkpoint at the target, or the saved position. */
  private async resumeFrom(): Promise<Position | undefined> {
    const { resumed, target, id, apply, config, onNote, source } = this.options
    if (resumed === null) return undefined
    // Where the target has one it is the truth, also for a run that from now on applies changes otherwise.
    const checkpoint = config.mode === 'snapshot' ? undefined : await target.checkpoint(id, this.shard.id)
    if (checkpoint !== undefined) for (const { db, key } of checkpoint.dirty) this.dirty.add(db, key)
    const saved = apply === 'replay' && config.mode !== 'snapshot' ? undefined : resumed.positions.get(this.shard.id)
    const { resume } = source.capabilities
    // Which names are taken is learned from the source again: from a reader of it, or by reading everything once more.
    const unknowable = this.collisions !== null && source.reader === undefined
    const position = unknowable
      ? undefined
      : (checkpoint?.position ??
        (resume === 'both' || resume === (resumed.inSnapshot ? 'snapshot' : 'changes') ? saved : undefined))
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
    const changes = this.options.config.mode !== 'snapshot'
    this.from = from
    for await (const event of this.shard.read({
      signal: this.options.signal,
      changes,
      pace: () => this.options.pace(),
      wants: (db, key) => this.options.filter.takesKey(db, key),
      ...(from === undefined ? {} : { from }),
    })) {
      if (!(await this.take(event))) return false
      if (this.mayStop(event)) break
    }
    await this.lanes.drain()
    return true
  }

  /**
   * Whoever stops does not wait for a whole snapshot, nor for all that was spooled while the target was behind: what is left
   * comes again from the position that was reached.
   */
  private mayStop(event: SourceEvent): boolean {
    if (!this.options.stopping.aborted) return false
    this.stoppingSince ??= performance.now()
    return event.kind === 'snapshot' || performance.now() - this.stoppingSince > STOPS_WITHIN_MS
  }

  /** The target came back, perhaps without what was written last: goes on from its own checkpoint, or from the start. */
  private async afterTargetLoss(error: MigrateError): Promise<Position | undefined> {
    const { target, id, apply, onNote, config, signal } = this.options
    await this.lanes.recover()
    const deadline = Date.now() + config.syncTimeoutMs
    for (;;) {
      try {
        await this.recovery.recover(this.generation)
        this.generation = this.recovery.generation
        const checkpoint = apply === 'replay' ? await target.checkpoint(id, this.shard.id) : undefined
        onNote(
          'target-lost',
          `${error.message}: ${checkpoint ? 'going on from the checkpoint at the target' : 'copying again'}`,
        )
        if (checkpoint === undefined) return undefined
        this.guard.begin()
        // What was dirty here and not yet there is read again as well: that is never wrong.
        this.dirty.allAgain()
        for (const { db, key } of checkpoint.dirty) this.dirty.add(db, key)
        return checkpoint.position
      } catch (failure) {
        if (!(failure instanceof MigrateError) || !failure.retryable || Date.now() > deadline || signal.aborted)
          throw failure
        await sleep(500)
      }
    }
  }

  /** False = the source must be read again from the start. */
  private async take(event: SourceEvent): Promise<boolean> {
    if (this.rememberFailure !== null) throw this.rememberFailure
    if (this.frozen !== null && event.kind !== 'changes') return this.whileFrozen(event, this.frozen)
    // The traffic stays where it was: what came meanwhile and was not written comes again.
    if (this.missed) {
      this.missed = false
      if ('release' in event) event.release?.()
      return false
    }
    if (event.kind === 'snapshot' || event.kind === 'changes') {
      this.checkDatabases(event.records)
      await this.options.gate.pass(event.records.length)
    }
    switch (event.kind) {
      case 'sync':
        await this.sync(event)
        return true
      case 'snapshot':
        await this.writer.write(event, this.options.targetWasEmpty || this.syncs > 1 || this.sweeping, this.sweeping)
        return true
      case 'snapshot-end':
        await this.lanes.drain()
        await this.vanished.endSnapshot(this.syncs === 1 && this.options.resumed === null && !this.sweeping)
        await this.writer.report(this.sweeping)
        if (this.sweeping) {
          this.sweeping = false
          this.sweeps++
          return true
        }
        await this.lookAtSample()
        if (event.position !== undefined) await this.checkpointOnly(event.position)
        if (this.held.cover(Date.now() - this.syncedAt)) this.guard.fresh()
        else this.guard.begin()
        this.wentLive()
        return true
      case 'changes':
        return this.changes(event)
      case 'dirty':
        this.track?.addKeys(event.keys)
        {
          const taken = event.keys.filter(({ db, key }) => this.options.filter.takesKey(db, key))
          for (const { db, key } of taken) this.dirty.add(db, key)
          for (const key of taken.slice(-1)) this.changed.noteKey(key)
          this.options.progress.changesApplied += taken.length
          this.options.progress.changesFiltered += event.keys.length - taken.length
        }
        await this.writeDirty()
        if (event.sweep) await this.values.persisting(() => this.vanished.sweep(this.values.source()))
        return true
      case 'left-out':
        this.options.progress.leaveOutMany(event.what, event.count, event.examples)
        return true
      case 'aside':
        if (!(await this.options.target.takeAside?.(event.what, event.payload)))
          this.options.progress.leaveOut(event.what, null)
        return true
    }
  }

  /** The traffic is being moved: nothing of the source is written any more, and nothing is deleted for it. */
  private async whileFrozen(event: SourceEvent, frozen: ChangeTrack): Promise<boolean> {
    if (event.kind === 'dirty') {
      frozen.addKeys(event.keys.filter(({ db, key }) => this.options.filter.takesKey(db, key)))
      this.missed = true
    } else if (event.kind === 'sync') {
      if (event.mode === 'full') frozen.resynced = true
      this.missed ||= event.mode !== 'partial'
    } else if (event.kind === 'snapshot') {
      this.missed = true
      // The slices of a large value stand in the way of what follows.
      for (const { value } of event.records) if (value.form === 'sliced') for await (const _ of value.slices);
      event.release?.()
    } else this.missed ||= event.kind === 'snapshot-end'
    return true
  }

  /** Says when keys that were written are not at the target. @throws MigrateError FM_TARGET_KEEPS_NOTHING */
  private async lookAtSample(): Promise<void> {
    const { looked, missing } = await this.sample.check(this.options.target)
    if (missing > 0)
      this.options.onNote(
        'missing',
        `${missing} of ${looked} keys that were looked for after the copy are not at the target: something removes keys there`,
      )
  }

  /** The address of the target names one database: what comes from a second one has no place there. */
  private checkDatabases(records: readonly { readonly db: number }[]): void {
    const { onlyDb, filter } = this.options
    if (onlyDb === null) return
    const other = records.find(({ db }) => db !== onlyDb && filter.takesDb(db))
    if (other === undefined) return
    throw new MigrateError(
      'FM_DB_SEVERAL',
      `the address of the target names one database, and the source has begun to write to database ${other.db} as well as ${onlyDb}`,
      `Start anew and say where each goes (--db-map), or take only database ${onlyDb} (--db ${onlyDb}).`,
    )
  }

  private async sync({ mode, keys, bytes }: SyncEvent): Promise<void> {
    const { progress } = this.options
    if (mode === 'sweep') {
      await this.lanes.drain()
      await this.writer.compare()
      this.collisions?.restart(this.options.source.shards.length === 1)
      this.vanished.begin()
      this.sweeping = true
      return
    }
    this.syncs++
    this.syncedAt = Date.now()
    this.sweeping = false
    this.options.onSync(mode)
    if (mode === 'partial') {
      if (this.from !== undefined) this.durable(this.from)
      if (this.syncs > 1) return
      if (this.options.resumed !== null) this.remembering = this.rememberNames()
      if (this.options.config.mode === 'snapshot') this.options.onPhase('INITIAL_SYNC')
      else {
        await this.held.find()
        this.guard.begin()
        this.wentLive()
      }
      return
    }
    this.positions.clear()
    this.collisions?.restart(this.options.source.shards.length === 1)
    // Nobody may go on from an older checkpoint once newer values are written.
    if (this.options.apply === 'replay') await this.options.target.forget(this.options.id, this.shard.id)
    const { config, source } = this.options
    // Of several shards each has to know what was its own, for when it begins anew and the others do not.
    if (config.deleteExtra || source.capabilities.changes === 'lossy' || source.shards.length > 1) this.vanished.begin()
    const again = this.syncs > 1 || this.options.resumed !== null
    if (again) {
      await this.lanes.drain()
      if (this.syncs > 1 || this.position !== null)
        this.options.onNote(
          'resync',
          'the source could not continue where it was: full resync, of which only what differs is written',
        )
      await this.writer.compare()
      progress.restartSnapshot(this.shard.id)
      this.vanished.begin()
      this.dirty.clear()
      this.held.keys.clear()
    }
    if (keys !== undefined) this.collisions?.expect(keys)
    const counts = progress.of(this.shard.id)
    if (keys !== undefined) counts.keysTotal = keys
    if (bytes !== undefined) counts.bytesTotal = bytes
    this.options.onPhase('INITIAL_SYNC')
  }

  /** Learns in the background which names are taken; what is found ends the run at its next step. */
  private async rememberNames(): Promise<void> {
    const { collisions, options } = this
    if (collisions === null) return
    try {
      await this.values.persisting(() => collisions.remember(options.signal))
    } catch (error) {
      this.rememberFailure = error as Error
    }
  }

  /** No expiry is held from now on; resolves when every held key has its own again. */
  async settle(): Promise<void> {
    this.settling = true
    this.ends.stopHolding(this.shard.readAt !== undefined)
    while (this.held.keys.size > 0 && !this.over) await sleep(10)
  }

  private async releaseHeld(): Promise<void> {
    while (this.held.keys.size > 0) {
      const { commands, gone } = await this.held.release()
      if (this.shard.readAt === undefined) {
        const soon = Date.now() + GONE_MS
        await this.writeEnds([...commands, ...gone.map(({ db, key }) => endCommand(db, key, soon))])
        continue
      }
      await this.writeEnds(commands)
      if (gone.length === 0) continue
      for (const { db, key } of gone) this.dirty.again(db, key)
    }
  }

  /** The whole file is replayed: what was put off comes back. */
  private async restoreEnds(): Promise<void> {
    if (this.ends.how !== 'postpone' || this.options.apply !== 'replay' || this.options.signal.aborted) return
    for await (const commands of this.postponed.restore()) await this.giveBack(commands)
    await this.lanes.drain()
  }

  /** @param commands by the names of the source */
  private async writeEnds(commands: readonly ChangeRecord[]): Promise<void> {
    if (commands.length === 0) return
    const { records } = await this.values.named(commands)
    await this.giveBack(records)
    await this.lanes.drain()
  }

  /** Ends that come back to their keys are no changes of the source. */
  private async giveBack(commands: readonly ChangeRecord[]): Promise<void> {
    const { progress, foreign } = this.options
    const records =
      foreign === null || foreign.policy === 'replace'
        ? commands
        : commands.filter(({ db, argv }) => !foreign.has(db, argv[1]))
    await this.lanes.write({ kind: 'changes', lane: this.lane, records }, undefined, ({ written }) => {
      progress.changesApplied -= records.length
      progress.written -= written
    })
  }

  private checkpoint(position: Position): Checkpoint {
    return { migration: this.options.id, shard: this.shard.id, position, dirty: [...this.dirty] }
  }

  /** Makes a position durable that no batch brings. */
  private async checkpointOnly(position: Position): Promise<void> {
    await this.lanes.write(
      { kind: 'changes', lane: this.lane, records: [] },
      this.options.apply === 'replay' ? this.checkpoint(position) : undefined,
      () => this.durable(position),
    )
  }

  private durable(position: Position): void {
    this.position = position
    this.shard.acknowledge?.(position)
    this.options.onPosition(this.shard.id, position)
  }

  /**
   * The checkpoint comes with the last change in one step: a target that has not got it has not got the change either.
   * @throws MigrateError FM_TARGET_KEEPS_NOTHING
   */
  async mustKeep(): Promise<void> {
    const { apply, config, target, id } = this.options
    const { position, shard } = this
    this.keptAt = Date.now()
    if (config.mode === 'snapshot') return
    // Whoever stops opens no more connections.
    if (!this.options.stopping.aborted) await this.lookAtChanged()
    if (apply !== 'replay' || position === null) return
    const there = await target.checkpoint(id, shard.id)
    if (there !== undefined && covers(shard, there.position, position)) return
    throw new MigrateError(
      'FM_TARGET_KEEPS_NOTHING',
      'the last change was answered with OK, and the target has not got it: it does not keep what it is told',
      'Look what stands between here and the target, or what removes keys there; then go on with --resume.',
    )
  }

  /** The same; a server that is away for the moment is asked another time. */
  private async mustKeepIfAsked(): Promise<void> {
    try {
      await this.mustKeep()
    } catch (error) {
      if (!(error instanceof MigrateError) || !error.retryable) throw error
      this.options.logger.log(
        'warn',
        `whether the target keeps what it is told could not be asked now: ${error.message}`,
      )
    }
  }

  private async lookAtChanged(): Promise<void> {
    const { source, target, transform } = this.options
    if (source.reader === undefined) return
    const [here, there] = [source.reader(), target.reader()]
    try {
      await this.changed.check(here, there, transform)
    } finally {
      await here.close()
      await there.close()
    }
  }

  get id(): string {
    return this.shard.id
  }

  holds(db: number, key: Buffer): boolean {
    return this.held.keys.has(db, key)
  }

  hasSeen(position: Position): boolean {
    return this.seen !== null && covers(this.shard, this.seen, position)
  }

  private async changes(event: ChangesEvent): Promise<boolean> {
    this.seen = event.position
    if (this.frozen !== null) {
      for (const record of event.records) this.frozen.add(record)
      this.heldBack.push(event)
      return true
    }
    for (const held of this.heldBack.splice(0)) if (!(await this.apply(held))) return false
    return this.apply(event)
  }

  private async apply(event: ChangesEvent): Promise<boolean> {
    const { apply, progress, onNote } = this.options
    this.changed.note(event.records)
    if (this.track !== null) for (const record of event.records) this.track.add(record)
    if (apply === 'replay' && !(await this.guard.look(event))) {
      onNote(
        'resync',
        'too many keys may have ended at the target meanwhile: full resync, of which only what differs is written',
      )
      event.release?.()
      return false
    }
    const routed = this.router.route(event.records)
    this.held.note()
    progress.changesFiltered += routed.filtered
    for (const name of routed.ignored) progress.leaveOut(`command ${name}`, null)
    if (routed.unknown.length > 0) await this.askForKeys(routed.unknown)
    if (routed.swapped !== null && apply === 'replay') {
      onNote('resync', 'databases were swapped under a filter: full resync')
      event.release?.()
      return false
    }
    if (apply === 'replay') {
      for (const { db, key } of routed.dirty) this.dirty.add(db, key)
      const renamed = await this.values.named(routed.forward)
      for (const { db, key } of renamed.dirty) this.dirty.add(db, key)
      const parted = this.partForeign(renamed)
      let forward = parted?.records ?? renamed.records
      if (routed.flush !== null) forward = [...(await this.flushed(routed.flush)), ...forward]
      if (this.dirty.size + this.held.keys.size > 0 && this.followMoves(forward)) this.dirty.allAgain()
      if (this.dirty.size > 0) this.dirty.reached((place) => covers(this.shard, event.position, place))
      if (event.byteLength === 0 && forward.length === 0) event.release?.()
      else
        await this.lanes.write(
          { kind: 'changes', lane: this.lane, records: forward },
          this.checkpoint(event.position),
          (result) => {
            progress.changeBytes += event.byteLength
            event.release?.()
            this.durable(event.position)
            this.heal(result, renamed)
          },
        )
      await this.stop.pass(event.position)
      if (this.settling && this.held.keys.size > 0) await this.releaseHeld()
      if (!this.dirty.allRead) await this.handOver(event.position)
      if (Date.now() - this.keptAt > KEPT_MS) await this.mustKeepIfAsked()
      return true
    }
    for (const { db, key } of routed.dirty) this.dirty.add(db, key)
    event.release?.()
    if (routed.flush !== null) await this.markAll(routed.flush, false)
    if (routed.swapped !== null) await this.markAll(routed.swapped, true)
    await this.writeDirty()
    await this.lanes.drain()
    progress.changesApplied += event.records.length - routed.filtered
    progress.changeBytes += event.byteLength
    this.durable(event.position)
    return true
  }

  /** Of a command that is not known here the source tells its keys: they are read again. Without that it is left out, and told. */
  private async askForKeys(commands: readonly ChangeRecord[]): Promise<void> {
    const { source, filter, progress } = this.options
    const found = (await source.keysOf?.(commands.map(({ argv }) => argv))) ?? []
    for (const [i, { name, db }] of commands.entries()) {
      const keys = found[i] ?? null
      if (keys === null) progress.leaveOut(`command ${name}`, null)
      else for (const key of keys) if (filter.takesKey(db, key)) this.dirty.add(db, key)
    }
  }

  /** Commands that would build upon values which are not of this migration are not replayed. */
  private partForeign(renamed: RenamedCommands): Parted | null {
    const { foreign, progress } = this.options
    const parted =
      foreign?.part(renamed.records, this.shard.readAt !== undefined, (db, keys) =>
        commandRecord(db, [Buffer.from('DEL'), ...keys], Date.now()),
      ) ?? null
    if (parted === null) return null
    progress.skipped += parted.skipped
    for (const { db, key } of parted.reread) {
      const original = renamed.original(db, key)
      if (original !== null) this.dirty.add(original.db, original.key)
    }
    return parted
  }

  /**
   * FLUSHALL, FLUSHDB and SWAPDB undo what was written ahead of them for dirty keys: these are read once more, and
   * SWAPDB makes their namesakes in the other database dirty as well.
   */
  private followMoves(records: readonly ChangeRecord[]): boolean {
    let moved = false
    for (const record of records) {
      const { kind } = commandSpecOf(record.name)
      if (kind !== 'swapdb' && kind !== 'flush') continue
      moved = true
      if (kind === 'flush') continue
      const [a, b] = [1, 2].map((i) => databaseNumber(record.argv[i], 'SWAPDB'))
      for (const set of [this.dirty, this.held.keys])
        for (const { db, key } of [...set]) {
          if (db === a) set.add(b, key)
          else if (db === b) set.add(a, key)
        }
    }
    return moved
  }

  /** Under replay: writes the current value of dirty keys and remembers up to where their commands are in it. */
  private async handOver(current: Position): Promise<void> {
    if (this.shard.readAt === undefined)
      throw new MigrateError(
        'FM_SOURCE_UNREADABLE',
        'the target refused a command, and the source cannot be asked for the value instead',
        'For an append-only file give --rebuild: its keys are then written whole.',
      )
    // What is under way may still fail and make more keys dirty: they belong to this reading.
    await this.lanes.drain()
    const unread = this.dirty.unread()
    // Values are ahead of the stream: whoever goes on from here must know of which keys.
    await this.checkpointOnly(current)
    for (let at = 0; at < unread.length; at += READ_AT_ONCE) {
      const keys = unread.slice(at, at + READ_AT_ONCE)
      const { records, position } = await this.shard.readAt(keys)
      await this.values.write(keys, this.held.stretch(records, this.ends.how === 'hold' ? 'hold' : 'for a moment'))
      // A value that is sent once more after a loss must not come after commands that build upon it.
      await this.lanes.drain()
      this.dirty.read(position, keys)
    }
    this.dirty.reached((place) => covers(this.shard, current, place))
  }

  /** The stream ended while keys still wait for their reading (a command of the last batch failed): reads them now. */
  private async finishDirty(): Promise<void> {
    if (this.options.apply !== 'replay' || this.dirty.allRead) return
    const keys = this.dirty.unread()
    await this.values.write(keys, await this.values.read(keys))
    // Their values are newer than the position now: whoever goes on from there must read them again.
    if (this.position !== null) await this.checkpointOnly(this.position)
    await this.lanes.drain()
  }

  /** A command that failed at the target did not fail at the source: the key is read again whole. */
  private heal(result: WriteResult, commands: RenamedCommands): void {
    for (const { db, key, reason } of result.failed) {
      const original = key === null ? null : commands.original(db, key)
      if (key === null || original === null) continue
      const kind = reason.slice(0, 60)
      if (!this.healed.has(kind) && this.healed.size < 100) {
        this.healed.add(kind)
        this.options.onNote('healed', `${reason} (${printableKey(key)} and others like it): such keys are read again`)
      }
      this.dirty.again(original.db, original.key)
    }
  }

  /** Under state: reads every dirty key and writes it whole; a lost source is tried again, the keys stay dirty. */
  private async writeDirty(): Promise<void> {
    while (this.dirty.size > 0)
      await this.values.persisting(async () => {
        const keys = this.dirty.take(READ_AT_ONCE)
        try {
          await this.values.write(
            keys,
            await this.values.source().read(
              keys[0].db,
              keys.map(({ key }) => key),
              this.options.filter.needsSize,
            ),
          )
        } catch (error) {
          for (const { db, key } of keys) this.dirty.add(db, key)
          throw error
        }
      })
  }

  /** What both ends hold at one place of the stream; null where that cannot be had. */
  readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    return this.stop.readBoth(keys, target)
  }

  /** Reads these keys again and writes what they are. */
  async repair(keys: readonly DirtyKey[]): Promise<void> {
    for (const { db, key } of keys) this.dirty.add(db, key)
    await this.writeDirty()
    await this.lanes.drain()
  }

  private async flushed(dbs: readonly number[]): Promise<ChangeRecord[]> {
    await this.lanes.drain()
    return flushCommands(this.options, this.vanished, dbs)
  }

  /** Under state: after a FLUSHALL or SWAPDB every key of these databases may be another. */
  private async markAll(dbs: readonly number[], source: boolean): Promise<void> {
    const { filter, transform, target } = this.options
    if (transform.renames) {
      await this.lanes.drain()
      await this.vanished.sweep(this.values.source())
    }
    const there = target.reader()
    try {
      for (const reader of [...(transform.renames ? [] : [there]), ...(source ? [this.values.source()] : [])])
        for await (const page of reader.keys(dbs.length > 0 ? { dbs } : {})) {
          for (const { db, key } of page) if (filter.takesKey(db, key)) this.dirty.add(db, key)
          if (this.dirty.size > 50_000) await this.writeDirty()
        }
    } finally {
      await there.close()
    }
  }
}
