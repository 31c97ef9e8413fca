import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError, type Position } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { ChangeApplier } from './changes/change-applier.js'
import type { Checkpoints } from './checkpoints.js'
import type { SourceReading } from './events/source-reading.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import type { TargetRecovery } from './lanes/target-recovery.js'

const RETRY_MS = 500

/** How long it is tried, and whom it tells. */
export interface LostEndNeeds {
  readonly config: Pick<ResolvedConfig, 'syncTimeoutMs'>
  readonly signal: AbortSignal
  onNote(type: string, text: string): void
}

/** What of its shard has to know that an end was lost. */
export interface Interrupted {
  readonly lanes: ShardLanes
  readonly checkpoints: Pick<Checkpoints, 'afterLoss'>
  readonly applier: Pick<ChangeApplier, 'late'>
  readonly reading: Pick<SourceReading, 'failedInTaking'>
  readonly recovery: TargetRecovery
}

/** Goes on after an end was lost in the middle: from the target's own checkpoint, or from the start. */
export class LostEnd {
  private readonly needs: LostEndNeeds
  private readonly parts: Interrupted
  /** Of the target, since this shard writes to it. */
  private generation: number
  /** Where and since when an end is lost again and again. */
  private lost: { readonly seen: Position | null; readonly since: number } | null = null

  constructor(needs: LostEndNeeds, parts: Interrupted) {
    this.needs = needs
    this.parts = parts
    this.generation = parts.recovery.generation
  }

  /**
   * Whether an end was lost so that going on from the checkpoint mends it: the target with what it had, or either of them while it
   * was asked for keys. What a lane or the source's stream gave up has been tried for long enough.
   * @param seen the last position that was read
   */
  isMendable(error: unknown, seen: Position | null): error is MigrateError {
    if (this.needs.signal.aborted || !(error instanceof MigrateError)) return false
    if (error.code === 'FM_TARGET_LOST') return true
    if (!error.retryable || !/^FM_(CONNECT_|SERVER_LOADING)/.test(error.code)) return false
    if (this.parts.lanes.hasFailed || !this.parts.reading.failedInTaking) return false
    const lost = this.lost?.seen === seen ? this.lost : { seen, since: Date.now() }
    this.lost = lost
    return Date.now() - lost.since <= this.needs.config.syncTimeoutMs
  }

  /** The target came back, perhaps without what was written last: where to go on; undefined = from the start. */
  async goOn(error: MigrateError): Promise<Position | undefined> {
    const { onNote, config, signal } = this.needs
    const { recovery, lanes } = this.parts
    await lanes.recover()
    const deadline = Date.now() + config.syncTimeoutMs
    for (;;) {
      try {
        await recovery.recover(this.generation)
        this.generation = recovery.generation
        // From here on it belongs to the connections that there are now.
        await lanes.recover()
        const position = await this.parts.checkpoints.afterLoss()
        const how = position === undefined ? 'copying again' : 'going on from the checkpoint at the target'
        onNote('target-lost', `${error.message}: ${how}`)
        if (position !== undefined) this.parts.applier.late()
        return position
      } catch (failure) {
        if (!(failure instanceof MigrateError) || !failure.retryable || Date.now() > deadline || signal.aborted)
          throw failure
        await sleep(RETRY_MS)
      }
    }
  }
}
