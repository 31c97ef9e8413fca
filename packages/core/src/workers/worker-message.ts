import type { DirtyKey, Lag, LogLevel, Position, SnapshotRecord, ToldError } from '@ferrite-migrate/contracts'
import type { ComparedPart } from '../engine/compared-part.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import type { ShardTask } from './shard-task.js'

/** What a worker can be asked for, with the form of its answer. */
export interface WorkerAnswers {
  settle: undefined
  mustKeep: undefined
  freeze: undefined
  thaw: undefined
  lags: readonly (Lag | null)[]
  readBoth: {
    readonly source: readonly (SnapshotRecord | null)[]
    readonly target: readonly (SnapshotRecord | null)[]
  } | null
  repair: undefined
  compare: ComparedPart
}

export type WorkerQuestion = keyof WorkerAnswers

/** From the process of the migration to a worker. */
export type ToWorker =
  | { readonly kind: 'run'; readonly task: ShardTask }
  /** Reads no more, writes what was read. */
  | { readonly kind: 'end-reading' }
  /** Somebody wants an end soon. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  /** Tells from now on which keys change, or no more. */
  | { readonly kind: 'track'; readonly on: boolean }
  | { readonly kind: 'ask'; readonly id: number; readonly what: WorkerQuestion; readonly keys: readonly DirtyKey[] }

/** From a worker. */
export type FromWorker =
  | { readonly kind: 'event'; readonly event: ShardEvent }
  | {
      readonly kind: 'changed'
      readonly keys: readonly DirtyKey[]
      readonly overflow: boolean
      readonly resynced: boolean
      readonly frozen: boolean
    }
  /** Everything of the shard up to here was read, and the keys that changed were told before. */
  | { readonly kind: 'seen'; readonly shard: string; readonly position: Position }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: WorkerAnswers[WorkerQuestion] }
  | { readonly kind: 'refusal'; readonly id: number; readonly fault: ToldError }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly text: string }
  /** It is over; null = all shards came to their end. */
  | { readonly kind: 'over'; readonly fault: ToldError | null }
