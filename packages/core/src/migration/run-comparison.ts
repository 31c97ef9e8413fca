import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { RunningShards } from '../engine/running-shards.js'
import type { CompareProgress } from '../verify/compare-progress.js'
import { RunVerification } from '../verify/run-verification.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { RunEnds } from './run-ends.js'
import type { RunSignals } from './run-signals.js'
import type { RunStatus } from './run-status.js'

const ATTEMPTS = 5
const AGAIN_MS = 1000

/** What of a run is compared, and whom it tells. */
export interface RunComparisonNeeds {
  readonly ends: RunEnds
  readonly status: RunStatus
  readonly signals: RunSignals
  /** What follows the source now; null = nothing does. */
  engine(): RunningShards | null
  onProgress(progress: CompareProgress): void
}

/** The comparisons of both ends that one run makes, and the last result. */
export class RunComparison {
  /** Null = nothing was compared yet. */
  result: VerifyReport | null = null
  private readonly needs: RunComparisonNeeds
  /** Changes that were applied when it was made. */
  private madeAt = 0

  constructor(needs: RunComparisonNeeds) {
    this.needs = needs
  }

  /** Changes that were applied after the last result; null = there is none. */
  get changesSince(): number | null {
    return this.result === null ? null : this.needs.status.progress.changesApplied - this.madeAt
  }

  take(result: VerifyReport): void {
    this.result = result
    this.madeAt = this.needs.status.progress.changesApplied
  }

  /** @throws MigrateError FM_VERIFY_UNSUPPORTED */
  async run(signal: AbortSignal): Promise<void> {
    const { status, ends } = this.needs
    const phase = status.phase
    status.enter('VERIFYING')
    try {
      this.take(await this.compared(signal))
    } finally {
      // Whoever asked may be told why not, and the migration goes on.
      if (!signal.aborted && ends.config.mode !== 'snapshot') status.enter(phase)
    }
  }

  /** A worker that is lost in between has another one take its place, and everything is compared once more then. */
  private async compared(signal: AbortSignal): Promise<VerifyReport> {
    const { status, signals } = this.needs
    for (let attempt = 1; ; attempt++)
      try {
        const engine = this.needs.engine()
        await engine?.beforeComparison()
        return await (await this.of()).run(engine, signal, signals.reading)
      } catch (error) {
        const lost = error instanceof MigrateError && error.code === 'FM_WORKER_LOST'
        if (!lost || attempt === ATTEMPTS || signal.aborted) throw error
        status.note('verify', `comparing once more: ${error.message}`)
        await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined)
      }
  }

  /** @param strict keys that only the target has count, whoever wrote them */
  async of(strict = this.needs.ends.config.strict): Promise<RunVerification> {
    const { ends, status } = this.needs
    const { source, target, filter, transform, config } = ends
    // What the target held before, and this migration never wrote, is not of the migration.
    const others = !status.record?.facts.targetWasEmpty && !config.deleteExtra && !strict
    const journal = others ? ((await status.record?.journaled()) ?? null) : null
    const engine = this.needs.engine()
    const file = source!.capabilities.kind === 'file'
    return new RunVerification({
      source: source!,
      target: target!,
      filter,
      transform,
      ...(others && (file || journal !== null) ? { foreign: (db, key) => !(journal?.has(db, key) ?? false) } : {}),
      ...(engine?.compare === undefined
        ? {}
        : { elsewhere: (done) => engine.compare?.(done, this.needs.signals.reading) ?? Promise.resolve(null) }),
      held: (db, key) => this.needs.engine()?.holds(db, key) ?? false,
      leftOut: (db, key) => status.progress.isLeftOut(db, key),
      comparesEnds: config.ttl === 'keep' && config.ttlFactor === 1,
      onProgress: (progress) => this.needs.onProgress(progress),
    })
  }
}
