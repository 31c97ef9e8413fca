import {
  type ChangeRecord,
  type ChangesEvent,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type Position,
  type Shard,
  type Target,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { commandRecord, commandSpecOf, databaseNumber } from '@ferrite-migrate/protocol'
import { printableKey } from '../../records/printable-key.js'
import type { RenamedCommands } from '../../transform/renamed-commands.js'
import type { ExpiryGuard } from '../expiry/expiry-guard.js'
import type { HeldExpiries } from '../expiry/held-expiries.js'
import type { LaterEnds } from '../expiry/later-end.js'
import type { ReturnedEnds } from '../expiry/returned-ends.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { PendingKeys } from '../lanes/pending-keys.js'
import { covers } from '../lanes/position-queue.js'
import type { Progress } from '../progress/progress.js'
import type { VanishedKeys } from '../snapshot/vanished-keys.js'
import type { Parted } from '../target-content/foreign-keys.js'
import type { ChangeApplier } from './change-applier.js'
import type { ChangeRouter } from './change-router.js'
import { type FlushedKeysNeeds, flushCommands } from './flushed-keys.js'
import { type KeyValues, READ_AT_ONCE } from './key-values.js'
import type { Routed } from './routed-changes.js'
import { countSplit } from './split-changes.js'
import type { BothEnds, StreamStop } from './stream-stop.js'
import { keysOfUnknown, type UnknownCommandsNeeds } from './unknown-commands.js'

/** The target, what is counted, and when it is over. */
export interface ReplayedChangesNeeds extends FlushedKeysNeeds, UnknownCommandsNeeds {
  readonly progress: Progress
  readonly signal: AbortSignal
  onNote(type: string, text: string): void
}

/** Positions as they become durable together with the changes before them. */
interface StreamCheckpoints {
  readonly position: Position | null
  of(position: Position): Parameters<ShardLanes['write']>[1]
  write(position: Position): Promise<void>
  durable(position: Position): void
}

/** What it shares with the rest of its shard. */
export interface ReplayedChangesParts {
  readonly shard: Pick<Shard, 'readAt' | 'covers'>
  readonly lanes: ShardLanes
  readonly lane: number
  readonly checkpoints: StreamCheckpoints
  readonly router: ChangeRouter
  readonly values: KeyValues
  readonly vanished: VanishedKeys
  /** Keys whose commands are not replayed. */
  readonly dirty: PendingKeys
  readonly held: HeldExpiries
  readonly ends: LaterEnds
  readonly returned: ReturnedEnds
  readonly guard: ExpiryGuard
  readonly stop: StreamStop
  /** The part of the target that keeps a key; undefined = it is one whole. */
  readonly partOf: NonNullable<Target['partOf']> | undefined
}

/** Kinds of refusals that are told. */
const TOLD = 100

/**
 * Changes as the commands they were, each batch with its position in one transaction. What cannot be replayed makes its keys
 * dirty: they are read together with a place of the stream, and their commands up to there are left out.
 */
export class ReplayedChanges implements ChangeApplier {
  private readonly needs: ReplayedChangesNeeds
  private readonly parts: ReplayedChangesParts
  private readonly healed = new Set<string>()
  private settling = false
  /** Of the dirty keys, so many have come that a checkpoint names which is durable. */
  private named = 0

  constructor(needs: ReplayedChangesNeeds, parts: ReplayedChangesParts) {
    this.needs = needs
    this.parts = parts
  }

  async apply(event: ChangesEvent): Promise<boolean> {
    const { progress, onNote } = this.needs
    const { guard, router, held, dirty, partOf } = this.parts
    if (!(await guard.look(event))) {
      onNote(
        'resync',
        'too many keys may have ended at the target meanwhile: full resync, of which only what differs is written',
      )
      event.release?.()
      return false
    }
    const routed = router.route(event.records)
    held.note()
    progress.changesFiltered += routed.filtered
    if (partOf !== undefined) progress.changesSplit += countSplit(event, partOf)
    for (const name of routed.ignored) progress.leaveOut(`command ${name}`, null)
    if (routed.unknown.length > 0) dirty.addAll(await keysOfUnknown(this.needs, routed.unknown))
    if (routed.swapped !== null) {
      onNote('resync', 'databases were swapped under a filter: full resync')
      event.release?.()
      return false
    }
    dirty.addAll(routed.dirty)
    if (partOf !== undefined) await this.nameDirty()
    await this.replay(event, routed)
    await this.parts.stop.pass(event.position)
    if (this.settling && held.keys.size > 0) await this.release()
    if (!dirty.allRead) await this.handOver(event.position)
    return true
  }

  private async replay(
    event: ChangesEvent,
    { forward: records, flush, flushedAt }: Pick<Routed, 'forward' | 'flush' | 'flushedAt'>,
  ): Promise<void> {
    const { lanes, lane, values, dirty, held, checkpoints, shard } = this.parts
    const renamed = await values.named(records)
    dirty.addAll(renamed.dirty)
    let forward = this.partForeign(renamed)?.records ?? renamed.records
    if (flush !== null) forward = [...(await this.flushed(flush, flushedAt)), ...forward]
    if (dirty.size + held.keys.size > 0 && this.followMoves(forward)) dirty.allAgain()
    if (dirty.size > 0) dirty.reached((place) => covers(shard, event.position, place))
    if (event.byteLength === 0 && forward.length === 0) {
      event.release?.()
      return
    }
    this.parts.vanished.seeChanges(forward)
    await lanes.write({ kind: 'changes', lane, records: forward }, checkpoints.of(event.position), (result) => {
      this.needs.progress.changeBytes += event.byteLength
      event.release?.()
      checkpoints.durable(event.position)
      this.heal(result, renamed)
    })
  }

  late(): void {
    this.parts.guard.begin()
  }

  fresh(covered: boolean): void {
    if (covered) this.parts.guard.fresh()
    else this.parts.guard.begin()
  }

  settle(): void {
    this.settling = true
    this.parts.ends.stopHolding(this.parts.shard.readAt !== undefined)
  }

  async finish(): Promise<void> {
    const { guard, ends, returned } = this.parts
    await this.release()
    guard.settle()
    await this.readLast()
    if (ends.how === 'postpone' && !this.needs.signal.aborted) await returned.restore()
  }

  /** Their commands are left out until they were read at a place of the stream, which the next event brings. */
  async repair(keys: readonly DirtyKey[]): Promise<void> {
    for (const { db, key } of keys) this.parts.dirty.again(db, key)
  }

  readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    return this.parts.stop.readBoth(keys, target)
  }

  async close(): Promise<void> {
    this.parts.stop.end()
    await this.parts.guard.close()
  }

  private async release(): Promise<void> {
    const { shard, dirty, returned } = this.parts
    const again = (keys: readonly DirtyKey[]): void => {
      for (const { db, key } of keys) dirty.again(db, key)
    }
    await returned.release(shard.readAt === undefined ? null : again)
  }

  /** Commands that would build upon values which are not of this migration are not replayed. */
  private partForeign(renamed: RenamedCommands): Parted | null {
    const { foreign, progress } = this.needs
    const { shard, dirty } = this.parts
    const parted =
      foreign?.part(renamed.records, shard.readAt !== undefined, (db, keys, at) =>
        commandRecord(db, [Buffer.from('DEL'), ...keys], Date.now(), at),
      ) ?? null
    if (parted === null) return null
    progress.skipped += parted.skipped
    for (const { db, key } of parted.reread) {
      const original = renamed.original(db, key)
      if (original !== null) dirty.add(original.db, original.key)
    }
    return parted
  }

  private async flushed(dbs: readonly number[], at: number | undefined): Promise<readonly ChangeRecord[]> {
    await this.parts.lanes.drain()
    const commands = await flushCommands(this.needs, this.parts.vanished, dbs)
    // They stand for the flush: what it has emptied once is not emptied again of what came behind it.
    return commands.map((command) => ({ ...command, at }))
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
      for (const set of [this.parts.dirty, this.parts.held.keys])
        for (const { db, key } of [...set]) {
          if (db === a) set.add(b, key)
          else if (db === b) set.add(a, key)
        }
    }
    return moved
  }

  /**
   * Where each part of the target has a checkpoint of its own, that of a batch covers commands which were left out since their key
   * is dirty: whoever goes on must have been told of the key before.
   */
  private async nameDirty(): Promise<void> {
    const { dirty, lanes, checkpoints } = this.parts
    if (dirty.size === 0 || dirty.additions === this.named || checkpoints.position === null) return
    const { additions } = dirty
    await lanes.drain()
    await checkpoints.write(checkpoints.position)
    await lanes.drain()
    this.named = additions
  }

  /** Writes the current value of dirty keys and remembers up to where their commands are in it. */
  private async handOver(current: Position): Promise<void> {
    const { shard, lanes, dirty, checkpoints, values, held, ends } = this.parts
    if (shard.readAt === undefined)
      throw new MigrateError(
        'FM_SOURCE_UNREADABLE',
        'the target refused a command, and the source cannot be asked for the value instead',
        'For an append-only file give --rebuild: its keys are then written whole.',
      )
    // What is under way may still fail and make more keys dirty: they belong to this reading.
    await lanes.drain()
    const unread = dirty.unread()
    // Values are ahead of the stream: whoever goes on from here must know of which keys.
    await checkpoints.write(current)
    await lanes.drain()
    this.named = dirty.additions
    for (let at = 0; at < unread.length; at += READ_AT_ONCE) {
      const keys = unread.slice(at, at + READ_AT_ONCE)
      const { records, position, elsewhere } = await shard.readAt(keys)
      const away = new Set(elsewhere)
      // What another shard has is that one's to write, and never to be deleted for being absent here.
      const here = <T>(of: readonly T[]): readonly T[] => (away.size === 0 ? of : of.filter((_, i) => !away.has(i)))
      await values.write(here(keys), held.stretch(here(records), ends.how === 'hold' ? 'hold' : 'for a moment'))
      // A value that is sent once more after a loss must not come after commands that build upon it.
      await lanes.drain()
      dirty.read(position, keys)
    }
    dirty.reached((place) => covers(shard, current, place))
  }

  /** The stream ended while keys still wait for their reading (a command of the last batch failed): reads them now. */
  private async readLast(): Promise<void> {
    const { dirty, values, checkpoints, lanes } = this.parts
    if (dirty.allRead) return
    const keys = dirty.unread()
    await values.write(keys, await values.read(keys))
    // Their values are newer than the position now: whoever goes on from there must read them again.
    if (checkpoints.position !== null) await checkpoints.write(checkpoints.position)
    await lanes.drain()
  }

  /** A command that failed at the target did not fail at the source: the key is read again whole. */
  private heal(result: WriteResult, commands: RenamedCommands): void {
    for (const { db, key, reason } of result.failed) {
      const original = key === null ? null : commands.original(db, key)
      if (key === null || original === null) continue
      const kind = reason.slice(0, 60)
      if (!this.healed.has(kind) && this.healed.size < TOLD) {
        this.healed.add(kind)
        this.needs.onNote('healed', `${reason} (${printableKey(key)} and others like it): such keys are read again`)
      }
      this.parts.dirty.again(original.db, original.key)
    }
  }
}
