import type { Logger } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { TargetKeys } from '../transform/target-keys.js'
import type { KeyValuesNeeds } from './changes/key-values.js'
import type { RereadChangesNeeds } from './changes/reread-changes.js'
import type { CheckpointsNeeds } from './checkpoints.js'
import type { ShardEvent } from './events/shard-event.js'
import type { ExpiryGuardNeeds } from './expiry/expiry-guard.js'
import type { HeldExpiriesNeeds } from './expiry/held-expiries.js'
import type { Gate } from './lanes/gate.js'
import type { SnapshotWriterNeeds } from './snapshot/snapshot-writer.js'
import type { VanishedKeysNeeds } from './snapshot/vanished-keys.js'
import type { KeptChangesNeeds } from './target-content/kept-changes.js'

/** What tells somebody something: a shard's voice is added by itself. */
type Voices = 'onNote' | 'onHeld'

type Needs = KeyValuesNeeds &
  RereadChangesNeeds &
  SnapshotWriterNeeds &
  VanishedKeysNeeds &
  HeldExpiriesNeeds &
  ExpiryGuardNeeds &
  CheckpointsNeeds &
  KeptChangesNeeds

/** Both ends of a migration and what becomes of records between them: what its shards run with. Nobody changes it. */
export interface Route extends Omit<Needs, Voices | 'config'> {
  readonly config: Pick<ResolvedConfig, 'mode' | 'onConflict' | 'deleteExtra' | 'syncTimeoutMs'>
  readonly apply: 'replay' | 'state'
  /** The package that the source is from. */
  readonly plugin: string
  /** The one database of the source whose keys may be written; null = any. */
  readonly onlyDb: number | null
  /** The target's keys that may be this migration's. */
  readonly targetKeys: TargetKeys
  readonly logger: Logger
  /** Aborted = stop reading, write what was read, return. */
  readonly signal: AbortSignal
  readonly gate: Gate
  /** How long to rest before more of the snapshot is read, ms. */
  pace(): number
  tell(event: ShardEvent): void
}

/** A route as one shard sees it, with a voice for its helpers. */
export type ShardRoute = Route & Pick<Needs, Voices>

export function routeOf(route: Route, shard: string): ShardRoute {
  return {
    ...route,
    onNote: (type, text) => route.tell({ kind: 'note', shard, type, text }),
    onHeld: () => route.tell({ kind: 'held', shard }),
  }
}
