import {
  type ChangeRecord,
  type DirtyKey,
  type Logger,
  MigrateError,
  type Source,
  type Target,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../../config/config.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import { ChangedSample } from './changed-sample.js'

/** Both ends, the names there, and when nobody asks any more. */
export interface KeptChangesNeeds {
  readonly config: Pick<ResolvedConfig, 'mode'>
  readonly source: Source
  readonly target: Target
  readonly transform: RecordTransform
  readonly filter: RecordFilter
  readonly logger: Logger
  /** Aborted = somebody wants an end soon. */
  readonly stopping: AbortSignal
}

/** How often it is made sure that the target keeps what it is told. */
const EVERY_MS = 30_000

/** Makes sure now and then that the changes which a target answered with OK are there. */
export class KeptChanges {
  private readonly needs: KeptChangesNeeds
  private readonly checkpoint: { mustBeThere(): Promise<void> }
  private readonly sample = new ChangedSample()
  private askedAt = Date.now()

  constructor(needs: KeptChangesNeeds, checkpoint: { mustBeThere(): Promise<void> }) {
    this.needs = needs
    this.checkpoint = checkpoint
  }

  note(records: readonly ChangeRecord[]): void {
    this.sample.note(records, this.needs.filter)
  }

  noteKey(key: DirtyKey): void {
    this.sample.noteKey(key)
  }

  /** @throws MigrateError FM_TARGET_KEEPS_NOTHING */
  async mustKeep(): Promise<void> {
    this.askedAt = Date.now()
    if (this.needs.config.mode === 'snapshot') return
    // Whoever stops opens no more connections.
    if (!this.needs.stopping.aborted) await this.lookForChanged()
    await this.checkpoint.mustBeThere()
  }

  async mustKeepIfDue(): Promise<void> {
    if (Date.now() - this.askedAt > EVERY_MS) await this.mustKeepIfAsked()
  }

  /** A server that is away for the moment is asked another time. */
  async mustKeepIfAsked(): Promise<void> {
    try {
      await this.mustKeep()
    } catch (error) {
      if (!(error instanceof MigrateError) || !error.retryable) throw error
      this.needs.logger.log('warn', `whether the target keeps what it is told could not be asked now: ${error.message}`)
    }
  }

  private async lookForChanged(): Promise<void> {
    const { source, target, transform } = this.needs
    if (source.reader === undefined) return
    const [here, there] = [source.reader(), target.reader()]
    try {
      await this.sample.check(here, there, transform)
    } finally {
      await here.close()
      await there.close()
    }
  }
}
