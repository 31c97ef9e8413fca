import type { Logger } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { Gate } from '../engine/lanes/gate.js'
import type { RunningShards } from '../engine/running-shards.js'
import { Notifier } from '../report/notifier.js'
import type { RequestStep } from '../state/requests.js'
import type { CompareProgress } from '../verify/compare-progress.js'
import type { Runner } from '../workers/runner.js'
import { LiveCutover } from './live-cutover.js'
import { Passes } from './passes.js'
import { RunComparison } from './run-comparison.js'
import { RunEnds } from './run-ends.js'
import { RunFailure } from './run-failure.js'
import { RunPulse } from './run-pulse.js'
import { RunSignals } from './run-signals.js'
import { type RunListener, RunStatus } from './run-status.js'

/** What a run is, where its adapters come from, and whom it tells. */
export interface RunPartsNeeds {
  readonly id: string
  readonly config: ResolvedConfig
  readonly registry: Registry
  readonly logger: Logger
  readonly listener: RunListener & {
    verify(progress: CompareProgress): void
    step(step: RequestStep): void
  }
  /** Where the state is. */
  directory(): string
  /** What runs the shards on other machines; null = this machine does. */
  runner(): Runner | null
  /** Keeps what `report` shows of a run that is killed. */
  keepReport(): void
  /** Keeps what other processes see measured. */
  keepMetrics(): void
}

/** What one run is made of, each part with what it needs of the others. */
export interface RunParts {
  readonly gate: Gate
  readonly notifier: Notifier
  readonly signals: RunSignals
  readonly current: RunStatus
  readonly ends: RunEnds
  readonly pulse: RunPulse
  readonly comparison: RunComparison
  readonly live: LiveCutover
  readonly passes: Passes
  readonly failure: RunFailure
}

/** Puts a run together; nothing of it is opened or started. */
export function runParts(needs: RunPartsNeeds): RunParts {
  const { id, config, registry, logger, listener, keepReport, keepMetrics } = needs
  const signals = new RunSignals()
  const gate = new Gate(config.maxRate)
  const notifier = new Notifier(config.notifications, logger)
  const status = new RunStatus({ id, config, gate, notifier, logger, listener })
  const ends = new RunEnds({ id, config, registry, logger, status, signal: signals.stopping })
  // The passes come last, and the parts before them ask what follows the source.
  const engine = (): RunningShards | null => passes.engine
  const pulse = new RunPulse({
    ...{ config, status, signals, logger, listener, keepReport, keepMetrics },
    target: () => ends.target,
    lags: (applied) =>
      engine()?.lags() ??
      ends.source!.shards.map((shard) => ({
        shard: shard.id,
        lag: Promise.resolve(shard.lag?.(applied.get(shard.id)) ?? null),
      })),
  })
  const comparison = new RunComparison({
    ...{ ends, status, signals, engine },
    onProgress: (progress) => listener.verify(progress),
  })
  const live = new LiveCutover({
    ...{ ends, status, signals, pulse, comparison, engine },
    engineOver: () => passes.over,
    onStep: (step) => listener.step(step),
  })
  const passes: Passes = new Passes({
    ...{ id, ends, status, signals, gate, logger, pulse, comparison, cutover: live },
    plugins: registry.plugins,
    directory: needs.directory,
    runner: needs.runner,
  })
  const failure = new RunFailure({ id, ends, status, signals })
  return { gate, notifier, signals, current: status, ends, pulse, comparison, live, passes, failure }
}
