import type { Position, RunClaim } from '@ferrite-migrate/contracts'
import type { FoundPlugin } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'

/**
 * What a process needs to know to run some shards of a migration: plain JSON. It holds the addresses of both ends as they were
 * given, passwords included, and is never written down or logged. The schema is `schema/shard-task.schema.json` of this package.
 */
export interface ShardTask {
  readonly version: 1
  readonly migration: string
  /** Name of the process among those that share the migration; of one that follows a dead one it is the same. */
  readonly worker: string
  /** The shards of the source that this process runs. */
  readonly shards: readonly string[]
  /** Completed: databases and filter are those that the run decided on. */
  readonly config: ResolvedConfig
  /** Where the adapters are. */
  readonly plugins: readonly FoundPlugin[]
  readonly apply: 'replay' | 'state'
  readonly lanes: number
  /** The one database of the source whose keys may be written; null = any. */
  readonly onlyDb: number | null
  /** The source is read key by key, because its stream holds what is not known here. */
  readonly byKeys: boolean
  /** In whose name is written; shared by all processes of the migration. */
  readonly claim: RunClaim
  /** The directory with the state and the undo journal. */
  readonly directory: string
  /** What the target held before is kept in the undo journal. */
  readonly journal: boolean
  readonly targetWasEmpty: boolean
  /** Where to go on; null = from the start. */
  readonly resumed: {
    readonly positions: Readonly<Record<string, Position>>
    readonly held: { readonly from: number; readonly to: number } | null
    readonly inSnapshot: boolean
  } | null
  readonly paused: boolean
  /** All shards of the source are run, also those that come later. */
  readonly whole?: boolean
}
