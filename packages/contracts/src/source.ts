import type { AdapterContext } from './context.js'
import type { KeyReader } from './key-reader.js'
import type { ChangeRecord, DirtyKey, SnapshotRecord } from './record.js'

/** Where in the source something stands: opaque to everybody but the source that made it. */
export type Position = string

export type SourceEvent =
  /** Always the first event, and again whenever the source had to start over (then everything before is void). */
  | SyncEvent
  | SnapshotEvent
  | { readonly kind: 'snapshot-end'; readonly position?: Position }
  | ChangesEvent
  | DirtyEvent
  | LeftOutEvent
  /** What the source holds and no record can carry (a function library, a module's global data). */
  | { readonly kind: 'aside'; readonly what: 'function' | 'module-aux' | 'script'; readonly payload: Buffer }

export interface SyncEvent {
  readonly kind: 'sync'
  /** `sweep`: everything comes once more while changes are followed, to find what they did not tell. */
  readonly mode: 'full' | 'partial' | 'sweep'
  /** Expected totals, where the source knows them. */
  readonly keys?: number
  readonly bytes?: number
  readonly rdbVersion?: number
}

export interface SnapshotEvent {
  readonly kind: 'snapshot'
  readonly records: readonly SnapshotRecord[]
  /** Bytes of the source's own form, for progress. */
  readonly byteLength: number
  /** Keys that were left unread because nobody wants them. */
  readonly passed?: number
  readonly position?: Position
  /** Tells the source that the records are durable at the target and their memory may be reused. Call once. */
  release?(): void
}

export interface ChangesEvent {
  readonly kind: 'changes'
  /** In order; a MULTI/EXEC is never split over two events, and FLUSHALL, FLUSHDB, SWAPDB outside one start an event. */
  readonly records: readonly ChangeRecord[]
  /** Records that were one transaction, in order: the index of the first and how many. Absent = none, or nobody knows. */
  readonly transactions?: readonly (readonly [first: number, count: number])[]
  readonly byteLength: number
  /** Where the source stands after the last record. */
  readonly position: Position
  release?(): void
}

export interface DirtyEvent {
  readonly kind: 'dirty'
  readonly keys: readonly DirtyKey[]
  readonly position?: Position
  /** Keys may have vanished without an event: look for target keys that the source no longer has. */
  readonly sweep?: boolean
}

/** Something that does not come, for a reason that the report must tell: counted by kind, with some keys as examples. */
export interface LeftOutEvent {
  readonly kind: 'left-out'
  readonly what: string
  readonly count: number
  readonly examples: readonly Buffer[]
}

/** What the source is behind, each in its unit; a missing number is unknown. */
export interface Lag {
  readonly bytes?: number
  readonly keys?: number
  readonly ms?: number
  /** Received and not yet taken, on disk or in memory. */
  readonly spooledBytes?: number
  /** Of `keys`, those that wait for the source itself, such as keys of slots that move: nobody has caught up before they are read. */
  readonly unsettled?: number
  /** Slots that are the shard's now, where the source is a cluster. */
  readonly slots?: number
}

export interface ReadAt {
  readonly records: readonly (SnapshotRecord | null)[]
  /** Which of the keys another shard has now, by their index: their records are null and say nothing, and that shard tells of them. */
  readonly elsewhere?: readonly number[]
  readonly position: Position
}

export interface ReadRequest {
  readonly from?: Position
  readonly signal: AbortSignal
  /** False ends the iteration at snapshot-end. */
  readonly changes: boolean
  /** False for keys that nobody wants: a source that reads key by key leaves them unread, and counts them as `passed`. */
  wants?(db: number, key: Buffer): boolean
  /** How long to rest now, ms, before more of the snapshot is read; 0 = go on. Changes are never slowed. */
  pace?(): number
  /** How many changes an event should bring while more of them wait; absent = as the source's own batches are. A hint. */
  readonly changesAtOnce?: number
}

/** One independent stream of a source: a primary of a cluster, a file. Shards are read in parallel. */
export interface Shard {
  readonly id: string
  /**
   * Reads from `from`, or everything. Ends when the source ends or the signal aborts (without an error).
   * @throws MigrateError whose `retryable` says whether reading again may help.
   */
  read(request: ReadRequest): AsyncIterable<SourceEvent>
  /** Everything up to here is durable at the target. */
  acknowledge?(position: Position): void
  /**
   * Reads values together with the position they belong to. Unless it has passed already, that position later comes
   * as the position of a changes event, so that a reader knows which changes the values already hold.
   */
  readAt?(keys: readonly DirtyKey[]): Promise<ReadAt>
  /** True when `position` is not before `mark`. Both are of this shard. */
  covers?(position: Position, mark: Position): boolean
  /** How far `applied` is behind what the source has now. */
  lag?(applied: Position | undefined): Promise<Lag>
  /**
   * Whether the key is this shard's now: of several shards that say so, exactly one owns a key. Absent where nobody can tell, as
   * of several servers that are no cluster. May change while slots move; asked anew each time.
   */
  owns?(db: number, key: Buffer): boolean
}

/** A shard that came or went while the source was read. */
export type ShardChange =
  | { readonly kind: 'added'; readonly shard: Shard }
  /** Nothing more comes of it: what it had is read from others by now. Its `read` ends by itself. */
  | { readonly kind: 'removed'; readonly shard: string }

/** How writers are kept away from a source during a cutover. */
export type FenceKind = 'pause' | 'acl'

/** Stands between the writers and the source until it is released; ends by itself if nobody refreshes it (pause only). */
export interface Fence {
  readonly kind: FenceKind
  /** What an operator should know about it. */
  readonly note: string
  /** Where the source stands now, per shard; empty where it has no positions. */
  positions(): Promise<ReadonlyMap<string, Position>>
  /** Keeps it standing; call at least once a second. */
  refresh(): Promise<void>
  /** True once it may have been down for a while, since nobody refreshed it in time. */
  fell(): boolean
  /** Leaves it standing after this process has ended, until somebody asks for it by name; where it can. */
  keep?(): void
  /** Takes it down, over a new connection where the former is lost. @throws what keeps it from that */
  release(): Promise<void>
}

/** How changes come to be known. */
export type ChangesBy = 'replication' | 'notifications' | 'polling' | 'file'

/** What core decides upon; what is only printed is in `description`. */
export interface SourceCapabilities {
  /** A file ends, and what it holds does not change while it is read. Default `server`. */
  readonly kind?: 'server' | 'file'
  /** Absent where no changes come. `replication`: it also gives a consistent snapshot of everything at one moment. */
  readonly changesBy?: ChangesBy
  /** It follows another server: what is written there arrives here a moment later. */
  readonly follower?: boolean
  readonly changes: 'none' | 'lossy' | 'lossless'
  /**
   * What a position is good for: `snapshot` = a snapshot read without changes goes on behind the position of one of its events;
   * `changes` = changes go on behind the position of a changes event or of snapshot-end. Either way nothing is lost, the reading
   * begins with sync `partial`, and what came before the position does not come again; a source that cannot any more begins
   * anew with sync `full`.
   */
  readonly resume: 'none' | 'snapshot' | 'changes' | 'both'
  /** No key comes twice in one snapshot (a replication snapshot or a file; not a scan). */
  readonly uniqueKeys?: boolean
  /** Its changes tell their places in the stream (`ChangeRecord.at`). */
  readonly places?: boolean
  /** By how much an expiry may seem to differ from reading to reading, ms; default 0. */
  readonly expiryPrecisionMs?: number
  /** Keys go from one of its shards to another, as slots of a cluster do: one process has to read all of them. */
  readonly together?: boolean
  /** Its data comes only once (standard input): it cannot be read again to verify. */
  readonly readOnce?: boolean
}

/** One finding of a preflight check. `fail` refuses the run. */
export interface Finding {
  readonly level: 'info' | 'warn' | 'fail'
  readonly code: string
  readonly text: string
  /** It matters only where changes are followed, and is not said of a snapshot. */
  readonly only?: 'changes'
}

/** What a source holds, as far as a target may not be able to take it; found before anything is written. */
export interface Contents {
  readonly keys: number
  readonly rdbVersion: number
  readonly valkey: boolean
  /** Keys that have expired already. */
  readonly expired: number
  /** Keys per database. */
  readonly databases: ReadonlyMap<number, number>
  readonly hashesWithFieldExpiry: number
  readonly hyperLogLogs: number
  readonly streams: number
  readonly functions: number
  /** Values per module. */
  readonly modules: ReadonlyMap<string, number>
}

/** What a server says of itself. */
export interface SourceSurvey {
  readonly product: string
  readonly version: string
  readonly keys: ReadonlyMap<number, number>
  readonly usedMemory: number
  /** How often each command (upper case) was called since the server started. */
  readonly commands: ReadonlyMap<string, number>
  readonly modules: readonly string[]
  readonly functions: number
  /** Lua scripts in its cache. */
  readonly scripts: number
  /** Users of its ACL besides the default one. */
  readonly users: number
  readonly role: string
  /** It is one node of a cluster, and keys of the others are not seen. */
  readonly cluster: boolean
  /** The shards of a cluster, all of which is seen. */
  readonly shards?: readonly ShardSurvey[]
}

/** A slot of a cluster. */
export interface SlotSurvey {
  readonly slot: number
  readonly keys: number
  /** What its commands have taken since the server began to count, ms. */
  readonly cpuMs?: number
}

/** What a primary of a cluster says of itself. */
export interface ShardSurvey {
  readonly shard: string
  /** Where it is, to print. */
  readonly place: string
  /** Ranges, as `0-5460,5462`. */
  readonly slots: string
  readonly slotCount: number
  readonly keys: number
  readonly usedMemory: number
  /** The slots that hold most keys, the fullest first. */
  readonly fullest: readonly SlotSurvey[]
  /** The slots whose commands take most time, the hottest first; absent where the server does not count that. */
  readonly hottest?: readonly SlotSurvey[]
}

export interface Source extends AsyncDisposable {
  readonly capabilities: SourceCapabilities
  readonly shards: readonly Shard[]
  /** Printable facts: product, version, capture chosen and why. */
  readonly description: Readonly<Record<string, string>>
  /** True when expiries in the change stream count from when the command ran (Redis before 7). */
  readonly relativeExpiry?: boolean
  /** Names (upper case) of the commands that a file holds and how often, where it was looked through. */
  readonly commands?: ReadonlyMap<string, number>
  /** The one database that the address of the source names; undefined = it names none, and all are taken. */
  readonly database?: number | undefined
  /** Who the server is, whatever its address: two sources that say the same are one server. Another one after a restart. */
  readonly identity?: string | undefined
  /**
   * Shards that come and go after the source was opened (`shards` are those at that time); ends when the signal aborts. Absent where
   * the shards stay what they are.
   */
  watch?(signal: AbortSignal): AsyncIterable<ShardChange>
  /**
   * Of a source whose shards hand keys to each other (`capabilities.together`): only these are read in this process, and the others in
   * others. Called before anything is read. Where keys would have to be handed over, reading ends with FM_SHARDS_MOVED before any change
   * behind that is given, and one process has to read all of them. Absent = its shards cannot be read apart.
   */
  apart?(shards: readonly string[]): void
  preflight?(): Promise<readonly Finding[]>
  /** What the source holds, where it could be looked at as a whole. */
  contents?(): Promise<Contents | null>
  /** What the server says of itself, for an analysis. */
  survey?(): Promise<SourceSurvey>
  reader?(): KeyReader
  /**
   * The keys that commands name, for those that are not known here; null = the server does not tell. They are read again then.
   */
  keysOf?(commands: readonly (readonly Buffer[])[]): Promise<readonly (readonly Buffer[] | null)[]>
  /**
   * The same source read key by key, for a stream that holds a value of a type that is not known here (FM_RDB_UNKNOWN). Absent
   * where there is no such way, or another one was asked for. The caller disposes of both.
   */
  byKeys?(): Promise<Source>
  /**
   * Keeps writers away. `auto` takes what the server has and the user may use.
   * @param check only find out which kind it would be; nothing is changed
   * @throws MigrateError FM_FENCE_UNAVAILABLE
   */
  fence?(kind: 'auto' | FenceKind, check: boolean): Promise<Fence>
  /**
   * Puts back what a former process changed at the server for the moment and wrote into its ledger.
   * @throws MigrateError when that is not possible now
   */
  putBack?(what: string, former: string): Promise<void>
  /** Whether this key is there now; by it a source and a target that are one server are found out. */
  sees?(db: number, key: Buffer): Promise<boolean>
  /** How much of its time the source is busy (0 to 1) and how long it takes to answer, for guards that spare it. */
  load?(): Promise<{ readonly cpu: number | null; readonly latencyMs: number }>
}

/** A source as a plugin gives it: one that has nothing to release needs no `[Symbol.asyncDispose]`. */
export type OpenedSource = Omit<Source, keyof AsyncDisposable> & Partial<AsyncDisposable>

/** The module that a manifest names for a source exports this as `createSource`. */
export type CreateSource = (context: AdapterContext) => Promise<Source>
