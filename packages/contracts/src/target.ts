import type { AdapterContext } from './context.js'
import type { KeyReader } from './key-reader.js'
import type { ChangeRecord, DirtyKey, SnapshotRecord } from './record.js'
import type { Finding, Position } from './source.js'

export type ConflictPolicy = 'replace' | 'skip' | 'fail'

export interface SnapshotBatch {
  readonly kind: 'snapshot'
  /** The ordered connection this batch goes through; one key always goes through the same lane. */
  readonly lane: number
  readonly records: readonly SnapshotRecord[]
  readonly onConflict: ConflictPolicy
  /** Keys to delete in the same step, before the records. */
  readonly deletes?: readonly DirtyKey[]
}

export interface ChangeBatch {
  readonly kind: 'changes'
  readonly lane: number
  readonly records: readonly ChangeRecord[]
}

/** A position made durable together with the batch it belongs to. */
export interface Checkpoint {
  readonly migration: string
  readonly shard: string
  readonly position: Position
  /** Keys that are to be read again on resume, since their value at `position` is not at the target. */
  readonly dirty: readonly DirtyKey[]
}

export interface Failure {
  readonly db: number
  readonly key: Buffer | null
  /** The target's own words, cut. */
  readonly reason: string
  readonly code: 'conflict' | 'refused' | 'not-carried'
}

/** A part of a value that the target cannot hold, left out and reported. */
export interface NotCarried {
  readonly what: string
  readonly db: number
  readonly key: Buffer
}

export interface WriteResult {
  readonly written: number
  readonly skipped: number
  readonly deleted: number
  /** Bytes sent to the target. */
  readonly byteLength: number
  readonly failed: readonly Failure[]
  readonly notCarried: readonly NotCarried[]
}

/** What a target can hold, as probes found out. What it cannot is left out and told. */
export interface TargetHolds {
  /** Ends of single fields of a hash. */
  readonly fieldExpiry: boolean
  /** HyperLogLogs in the source's own form. */
  readonly hyperLogLog: boolean
  /** More than one database. */
  readonly databases: boolean
}

/** What the probes found. `facts` are printable, in plan and report; nothing is decided upon them. */
export interface Dialect {
  readonly product: string
  /** How values are written. */
  readonly rendering: 'restore' | 'ferrite-restore' | 'typed'
  /** True when replaying a Redis command stream leaves the same state as at the source. */
  readonly replay: boolean
  /** Why replay is not possible, empty when it is. */
  readonly replayRefusals: readonly string[]
  /** It keeps places of the stream for parts of what it holds: replay needs changes that tell theirs (`ChangeRecord.at`). */
  readonly needsPlaces?: boolean
  /** What of a source's values and databases it can hold; absent = all of it. */
  readonly holds?: TargetHolds
  readonly facts: Readonly<Record<string, string>>
}

/** A key at the target that nothing else has. */
export interface PlantedKey {
  readonly db: number
  readonly key: Buffer
  remove(): Promise<void>
}

/** Who writes for a migration: a later epoch ends the earlier ones. */
export interface RunClaim {
  readonly epoch: number
  /** No two processes are called the same. */
  readonly owner: string
  /** The process before, which is known to be gone; null = there was none. */
  readonly former?: string | null
  /** The same for all migrations that bring the changes of the same keys from the same source; absent = it brings none. */
  readonly copies?: string
  /**
   * The one shard of the migration that the claim is for (`*` = all of them), where shards are written by processes that may
   * replace each other at any time. Such claims are counted apart from that of the whole migration: of those for one shard, or for all,
   * the highest epoch alone may write, and `takeOver` ends the connections of lower ones.
   */
  readonly shard?: string
}

export interface Target extends AsyncDisposable {
  readonly dialect: Dialect
  /**
   * Writes one batch and resolves when the target has answered for every key of it. Batches of one lane are
   * applied in call order. With a checkpoint, which only batches of changes bring, position and batch become durable in one
   * step or not at all.
   * Records stay valid until this settles.
   * @throws MigrateError when the batch as a whole could not be written; single keys are in `failed`.
   */
  write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult>
  /**
   * Ends what a former process of this migration left at the target: connections whose commands may still be waiting to
   * be executed, and values under temporary names. Called before a checkpoint is read again.
   * @throws MigrateError FM_FENCE_BLIND where the claim was for one shard and the target does not show its connections
   */
  takeOver?(migration: string): Promise<void>
  /**
   * Notes at the target who writes for this migration from now on. A connection that is opened later, by a process that
   * stood still meanwhile, must find another owner there and refuse to write.
   * @throws MigrateError FM_ID_TAKEN when an unknown process writes for it now, FM_TARGET_TAKEN when another migration brings the
   * same changes; FM_RUN_TAKEN from writes, once somebody else has claimed the migration
   */
  claim?(migration: string, claim: RunClaim): Promise<void>
  /** Says again that the one who claimed is alive; called every few seconds while a migration runs. @throws MigrateError FM_RUN_TAKEN */
  beat?(): Promise<void>
  /** Writes a key for the moment, by which it is found out whether the source is the same server. */
  plant?(): Promise<PlantedKey>
  /** The migration is over: removes what `claim` left. */
  release?(migration: string): Promise<void>
  /** The one database that the address of the target names; undefined = it names none, and each keeps its number. */
  readonly database?: number | undefined
  /**
   * Why this database cannot be written to; null = it can, and is no other one under its number. Asked before the first
   * write, so that nothing lands in another database.
   * @throws MigrateError when that cannot be found out now
   */
  refusesDatabase?(db: number): Promise<string | null>
  /**
   * The lane that a key goes through: one key always the same, as long as nothing was lost. Absent = any lane serves any key, and
   * core deals them out. A cluster names the lane of the node that has the key's slot.
   * @param lanes how many there are; the answer is below it
   */
  laneOf?(db: number, key: Buffer, lanes: number): number
  /**
   * The part that keeps a key, of a target over whose parts no command and no transaction goes: the slot of a cluster. Absent = it is
   * one whole. What went over several is counted.
   */
  partOf?(key: Buffer): number
  /** The checkpoint that a former run left, undefined when there is none. */
  checkpoint(migration: string, shard: string): Promise<Checkpoint | undefined>
  /** How many lanes serve this target best when nobody says; default 4. */
  readonly advisedLanes?: number
  /**
   * How many changes of a stream a batch should bring while more of them wait, where the batch itself costs much: a cluster keeps a
   * place in the stream for every slot that a batch touches. Absent = as many as a batch has.
   */
  readonly advisedChanges?: number
  /**
   * Takes what is no key (a function library), so that the target knows it as the source does. False = it cannot.
   */
  takeAside?(what: 'function' | 'module-aux' | 'script', payload: Buffer): Promise<boolean>
  /** Accepts the server as it is now, after FM_TARGET_LOST. */
  reconnect?(): Promise<void>
  /** Removes a migration's checkpoints. */
  forget(migration: string, shard: string): Promise<void>
  /** True for the names of commands (upper case) that the target knows; changes of others are read as state. */
  knows?(command: string): boolean
  preflight?(): Promise<readonly Finding[]>
  reader(): KeyReader
}

/** A target as a plugin gives it: one that has nothing to release needs no `[Symbol.asyncDispose]`. */
export type OpenedTarget = Omit<Target, keyof AsyncDisposable> & Partial<AsyncDisposable>

/** The module that a manifest names for a target exports this as `createTarget`. */
export type CreateTarget = (context: AdapterContext) => Promise<Target>
