import { MigrateError } from '@ferrite-migrate/contracts'
import type { RollbackReport } from '../rollback/rollback.js'
import { rollBackFailed } from '../rollback/rollback-failed.js'
import type { RunState } from '../state/status.js'
import type { RunEnds } from './run-ends.js'
import type { RunSignals } from './run-signals.js'
import type { RunStatus } from './run-status.js'

/** What of a run has failed. */
export interface RunFailureNeeds {
  readonly id: string
  readonly ends: Pick<RunEnds, 'config' | 'source' | 'target' | 'targetKeys' | 'transform'>
  readonly status: RunStatus
  readonly signals: RunSignals
}

/** How a run that threw has ended. */
export interface RunOutcome {
  readonly state: Exclude<RunState, 'RUNNING'>
  /** Null = it only stopped. */
  readonly error: MigrateError | null
}

/** What becomes of a run that threw: it had stopped anyway, it failed, or the target is put back as it was. */
export class RunFailure {
  /** Null = nothing was put back. */
  rollback: RollbackReport | null = null
  private readonly needs: RunFailureNeeds

  constructor(needs: RunFailureNeeds) {
    this.needs = needs
  }

  /** @param began it has a row of its own: something may be written, and it can go on */
  async outcome(error: unknown, began: boolean): Promise<RunOutcome> {
    const { status, signals } = this.needs
    const known = error instanceof MigrateError ? error : null
    if (signals.wantsStop && known !== null) {
      if (known.code === 'FM_INTERRUPTED') return { state: 'INTERRUPTED', error: known }
      if (passes(known)) return this.stopped(known, began)
    }
    const failure = known ?? internalFault(error)
    status.error = failure
    if (began) await this.putBack(failure)
    return { state: this.rollback === null ? 'FAILED' : 'ROLLED_BACK', error: failure }
  }

  /** Nobody waits any longer for a server that is away: what it has not taken comes again from the saved position. */
  private stopped(cause: MigrateError, began: boolean): RunOutcome {
    if (began) {
      this.needs.status.note('stopped', `stopped while a server was away: ${cause.message}`)
      return { state: 'INTERRUPTED', error: null }
    }
    const what = 'stopped before anything was written'
    return { state: 'INTERRUPTED', error: new MigrateError('FM_INTERRUPTED', what, 'Start it again.', { cause }) }
  }

  /** With --auto-rollback: the target becomes what it was. */
  private async putBack(error: MigrateError): Promise<void> {
    const { id, ends, status, signals } = this.needs
    const { record } = status
    if (!ends.config.autoRollback || signals.wantsStop) return
    if (record === null || record.lease.isLost || ends.target === null) return
    status.note('rollback', `rolling back after ${error.code} ${error.message}`)
    status.enter('ROLLING_BACK')
    const journal = await record.undos()
    try {
      this.rollback = await rollBackFailed({
        id,
        source: ends.source,
        target: ends.target,
        journal,
        targetWasEmpty: record.facts.targetWasEmpty ?? false,
        keys: ends.targetKeys,
        transform: ends.transform,
        onNote: (type, text) => status.note(type, text),
      })
    } finally {
      journal?.close()
    }
    if (this.rollback === null) return
    record.forgetPositions()
    status.applied.clear()
    // What could not be put back can be put back later.
    if (this.rollback.kept === 0 && this.rollback.failed === 0) await record.removeJournal()
  }
}

/** A server that is away comes back some time. */
function passes({ code, retryable }: MigrateError): boolean {
  return retryable || code === 'FM_TARGET_LOST' || code === 'FM_CONNECT_SILENT'
}

function internalFault(error: unknown): MigrateError {
  return new MigrateError(
    'FM_INTERNAL',
    (error as Error).message,
    'This is a fault of ferrite-migrate: please report it with -v.',
    { cause: error },
  )
}
