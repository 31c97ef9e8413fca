import type { Finding, Logger, Source, Target } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { ProgressCounts } from '../engine/progress/progress-counts.js'
import type { SharedJournal } from '../rollback/shared-journal.js'
import type { ShardTask } from './shard-task.js'
import type { ShardWorker, StandingOrders, WorkerListener } from './shard-worker.js'

/** What a runner is opened with. */
export interface RunnerContext {
  /** Its address as given, credentials included. */
  readonly url: string
  /** The state directory of this machine; the runner keeps its own copy of what all machines share below it. */
  readonly stateDir: string
  readonly logger: Logger
}

/** What a runner knows of a migration that it has begun, or found. */
export interface BegunRun {
  readonly paused: boolean
  /** What workers have counted before, each its own since it took a shard. */
  readonly counted: readonly ProgressCounts[]
}

/**
 * Runs the shards of migrations on other machines. What outlives a process (rows, requests, events) is shared by all machines through a
 * directory that the runner keeps equal to what it holds: whatever works with a state directory works with that one.
 */
export interface Runner extends AsyncDisposable {
  /** Its address, safe to print. */
  readonly label: string
  /** The state directory that is shared. */
  readonly directory: string
  /** What keeps shards from being run here, said before anything is written. */
  preflight(source: Source, target: Target, config: ResolvedConfig): Promise<readonly Finding[]>
  /**
   * Makes this process the one that follows the migration: the only one that writes its row and answers requests.
   * @throws MigrateError FM_ID_TAKEN while another process does
   */
  hold(id: string): Promise<void>
  /** Takes `hold` back, once everything of it is written there. */
  letGo(id: string): Promise<void>
  /**
   * Puts the shards into the queue, or finds them there.
   * @param task of all; a worker gets one of its shards
   * @param joined told of a shard that came later
   * @throws MigrateError FM_QUEUE_*
   */
  begin(task: Omit<ShardTask, 'worker'>, joined: (shard: string) => void): Promise<BegunRun>
  /** Follows the worker that has the shards of this task, whichever that is. */
  start(task: ShardTask, listener: WorkerListener): ShardWorker
  /** From now on all workers do so, whichever they are. */
  order(orders: Partial<StandingOrders>): void
  /** Has its workers write what they have read and end, those that are away for the moment too. @throws MigrateError FM_QUEUE_* */
  abandon(id: string): Promise<void>
  /**
   * No worker runs it any more: forgets what only they needed.
   * @param forGood nobody goes on with it
   */
  finish(id: string, forGood: boolean): Promise<void>
  /**
   * What a target held before a migration, where all workers reach it.
   * @param limitBytes of what it takes
   */
  journal(id: string, limitBytes: number): SharedJournal
  /** Brings the shared directory up to date with all machines, and theirs with it. @throws MigrateError FM_QUEUE_* */
  sync(): Promise<void>
  /** Does so again and again from now on. */
  keepSynced(): void
  /** True while some process follows the migration and answers requests. */
  isFollowed(id: string): Promise<boolean>
  /** What workers of this and other machines do now. */
  workers(): Promise<readonly WorkerFacts[]>
}

/** A worker of some machine, as the queue knows it. */
export interface WorkerFacts {
  readonly name: string
  readonly host: string
  readonly pid: number
  /** The last sign of life, ms. */
  readonly seenAt: number
  /** What it runs; null = it waits. */
  readonly migration: string | null
  readonly shard: string | null
}

/** The module that a manifest names for a runner exports this as `createRunner`. */
export type CreateRunner = (context: RunnerContext) => Promise<Runner>
