import type { Shard } from '@ferrite-migrate/contracts'
import type { CollisionGuard } from '../transform/collision-guard.js'
import type { ChangeApplier } from './changes/change-applier.js'
import { ChangeRouter } from './changes/change-router.js'
import { KeyValues } from './changes/key-values.js'
import { ReplayedChanges } from './changes/replayed-changes.js'
import { RereadChanges } from './changes/reread-changes.js'
import { StreamStop } from './changes/stream-stop.js'
import { Checkpoints } from './checkpoints.js'
import { ExpiryGuard } from './expiry/expiry-guard.js'
import { HeldExpiries } from './expiry/held-expiries.js'
import { LaterEnds } from './expiry/later-end.js'
import { PostponedEnds } from './expiry/postponed-ends.js'
import { ReturnedEnds } from './expiry/returned-ends.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import { PendingKeys } from './lanes/pending-keys.js'
import type { TargetRecovery } from './lanes/target-recovery.js'
import { type Route, routeOf, type ShardRoute } from './route.js'
import type { SeenKeys } from './snapshot/seen-keys.js'
import { SnapshotWriter } from './snapshot/snapshot-writer.js'
import type { TargetValues } from './snapshot/target-values.js'
import { VanishedKeys } from './snapshot/vanished-keys.js'
import type { WrittenSample } from './target-content/written-sample.js'

/** What a shard shares with the others of its source. */
export interface ShardNeighbours {
  /** Looks for keys that get one name; null = the rules keep names apart. */
  readonly collisions: CollisionGuard | null
  readonly sample: WrittenSample
  readonly seen: SeenKeys
  readonly recovery: TargetRecovery
  readonly targetValues: TargetValues
}

/** What one shard is made of, each part with what it needs of the others. */
export interface ShardParts {
  readonly route: ShardRoute
  /** Keys whose commands are not replayed, or that are to be read again. */
  readonly dirty: PendingKeys
  readonly values: KeyValues
  readonly vanished: VanishedKeys
  readonly writer: SnapshotWriter
  readonly checkpoints: Checkpoints
  readonly held: HeldExpiries
  readonly applier: ChangeApplier
}

/** Puts a shard together. Whether changes are replayed or their keys read again is asked here, and nowhere after. */
export function shardParts(
  route: Route,
  lanes: ShardLanes,
  shard: Shard,
  lane: number,
  { collisions, seen }: ShardNeighbours,
): ShardParts {
  const own = routeOf(route, shard.id)
  const { source, target, filter, transform, foreign, config } = own
  const replays = own.apply === 'replay'
  const dirty = new PendingKeys()
  const vanished = new VanishedKeys(own, lanes, lane, shard, seen)
  const values = new KeyValues(own, lanes, lane, collisions, (keys) => vanished.seeKeys(keys))
  const held = new HeldExpiries(own, () => values.source())
  const postponed = new PostponedEnds(own)
  // An expiry is held only where the source can be asked for it later.
  const later = source.reader !== undefined ? 'hold' : 'postpone'
  const ends = new LaterEnds(replays && config.mode !== 'snapshot' ? later : 'keep')
  const checkpoints = new Checkpoints(own, shard, lanes, lane, dirty, replays, (position) =>
    route.tell({ kind: 'position', shard: shard.id, position }),
  )
  const router = new ChangeRouter(
    {
      apply: own.apply,
      renames: transform.renames,
      filter,
      knows: (name) => target.knows?.(name) ?? true,
      relativeExpiry: source.relativeExpiry ?? false,
      flushesAll: shard.owns === undefined && (foreign === null || foreign.policy === 'replace'),
    },
    ends,
    dirty,
    held.keys,
  )
  const named: KeyValues['named'] = (commands) => values.named(commands)
  const returned = new ReturnedEnds({ ...own, named }, lanes, lane, held, postponed)
  const shared = { lanes, lane, shard, router, values, vanished, dirty, held, ends, returned, checkpoints }
  const applier = replays
    ? new ReplayedChanges(own, {
        ...shared,
        guard: new ExpiryGuard(own, shard, dirty),
        stop: new StreamStop(own, lanes, shard),
        partOf: target.partOf?.bind(target),
      })
    : new RereadChanges(own, shared)
  const writer = new SnapshotWriter(own, lanes, {
    ...{ ends, held, postponed, vanished, collisions, positions: checkpoints.queue },
    counts: own.progress.of(shard.id),
  })
  return { route: own, dirty, values, vanished, writer, checkpoints, held, applier }
}
