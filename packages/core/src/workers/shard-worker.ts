import type { DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import type { ProgressCounts } from '../engine/progress/progress-counts.js'
import type { FromWorker, ToWorker, WorkerAnswers, WorkerQuestion } from './worker-message.js'

/** What a worker tells besides its answers and its end. */
export type ToldByWorker = Exclude<FromWorker, { kind: 'answer' | 'refusal' | 'over' }>

/** Whom a worker tells. */
export interface WorkerListener {
  told(message: ToldByWorker): void
  /** It has ended; null = all its shards came to their end. FM_WORKER_LOST = it died, and another may go on. */
  over(error: MigrateError | null): void
}

/** What all workers of a run are to do, besides their tasks. */
export interface StandingOrders {
  readonly paused: boolean
  /** Changed keys are told. */
  readonly tracking: boolean
  /** Changes are only noted. */
  readonly frozen: boolean
}

/** What runs some shards somewhere else, as the process of the migration sees it: a process of this machine, or a job of a queue. */
export interface ShardWorker {
  /** What it had told of its counts before this process heard of it; absent or null = nothing. */
  readonly counted?: ProgressCounts | null
  tell(message: ToWorker): void
  /** @throws MigrateError what the worker failed with, FM_WORKER_LOST when it is gone */
  ask<Q extends WorkerQuestion>(what: Q, keys?: readonly DirtyKey[]): Promise<WorkerAnswers[Q]>
  /** Waits until nothing of it is left that could still write. */
  end(): Promise<void>
}
