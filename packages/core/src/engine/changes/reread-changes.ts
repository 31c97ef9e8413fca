import type { ChangesEvent, DirtyKey, Position, Target } from '@ferrite-migrate/contracts'
import type { RecordFilter } from '../../records/key-filter.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { ReturnedEnds } from '../expiry/returned-ends.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { PendingKeys } from '../lanes/pending-keys.js'
import type { Progress } from '../progress/progress.js'
import type { VanishedKeys } from '../snapshot/vanished-keys.js'
import type { ChangeApplier } from './change-applier.js'
import type { ChangeRouter } from './change-router.js'
import type { KeyValues } from './key-values.js'
import { keysOfUnknown, type UnknownCommandsNeeds } from './unknown-commands.js'

/** The target, and which keys under which names. */
export interface RereadChangesNeeds extends UnknownCommandsNeeds {
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly progress: Progress
}

/** What it shares with the rest of its shard. */
export interface RereadChangesParts {
  readonly lanes: ShardLanes
  readonly router: ChangeRouter
  readonly values: KeyValues
  readonly vanished: VanishedKeys
  readonly dirty: PendingKeys
  readonly returned: ReturnedEnds
  readonly checkpoints: { durable(position: Position): void }
}

/** More keys than this are not gathered before they are read. */
const GATHERED = 50_000

/** Changes by state: whatever a command did, its keys are read again and written whole. A key written often is read once. */
export class RereadChanges implements ChangeApplier {
  private readonly needs: RereadChangesNeeds
  private readonly parts: RereadChangesParts
  private settling = false

  constructor(needs: RereadChangesNeeds, parts: RereadChangesParts) {
    this.needs = needs
    this.parts = parts
  }

  async apply(event: ChangesEvent): Promise<boolean> {
    if (this.settling) await this.release()
    const { progress } = this.needs
    const { router, dirty, lanes } = this.parts
    const routed = router.route(event.records)
    progress.changesFiltered += routed.filtered
    for (const name of routed.ignored) progress.leaveOut(`command ${name}`, null)
    if (routed.unknown.length > 0) dirty.addAll(await keysOfUnknown(this.needs, routed.unknown))
    dirty.addAll(routed.dirty)
    event.release?.()
    if (routed.flush !== null) await this.markAll(routed.flush, false)
    if (routed.swapped !== null) await this.markAll(routed.swapped, true)
    await this.rewrite()
    await lanes.drain()
    progress.changesApplied += event.records.length - routed.filtered
    progress.changeBytes += event.byteLength
    this.parts.checkpoints.durable(event.position)
    return true
  }

  late(): void {}

  fresh(): void {}

  settle(): void {
    this.settling = true
  }

  async finish(): Promise<void> {
    await this.release()
    await this.rewrite()
    await this.parts.lanes.drain()
  }

  async repair(keys: readonly DirtyKey[]): Promise<void> {
    this.parts.dirty.addAll(keys)
    await this.rewrite()
    await this.parts.lanes.drain()
  }

  async readBoth(): Promise<null> {
    return null
  }

  async close(): Promise<void> {}

  /** What the source has no more is deleted with the next reading. */
  private release(): Promise<void> {
    return this.parts.returned.release((gone) => this.parts.dirty.addAll(gone))
  }

  private rewrite(): Promise<void> {
    return this.parts.values.rewrite(this.parts.dirty)
  }

  /** After a FLUSHALL or SWAPDB every key of these databases may be another. */
  private async markAll(dbs: readonly number[], source: boolean): Promise<void> {
    const { filter, transform, target } = this.needs
    const { lanes, vanished, values, dirty } = this.parts
    if (transform.renames) {
      await lanes.drain()
      await vanished.sweep(values.source())
    }
    const there = target.reader()
    try {
      for (const reader of [...(transform.renames ? [] : [there]), ...(source ? [values.source()] : [])])
        for await (const page of reader.keys(dbs.length > 0 ? { dbs } : {})) {
          for (const { db, key } of page) if (filter.takesKey(db, key)) dirty.add(db, key)
          if (dirty.size > GATHERED) await this.rewrite()
        }
    } finally {
      await there.close()
    }
  }
}
