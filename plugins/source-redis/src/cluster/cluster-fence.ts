import { type ChangeLedger, type Fence, type FenceKind, MigrateError, type Position } from '@ferrite-migrate/contracts'
import { type ClusterShard, type ClusterTopology, RedisLink } from '@ferrite-migrate/redis'
import { putUpFence } from '../redis-fence.js'

/** How long slots on their way may keep a cutover waiting, ms. */
const SETTLES_WITHIN_MS = 10_000
const LOOK_MS = 20

export interface ClusterFenceNeeds {
  readonly topology: ClusterTopology
  readonly ledger: ChangeLedger | undefined
  /** Slots and keys that are on their way from shard to shard. */
  pending(): number
  /** Who the server is, whatever its address; empty = unknown. */
  serverOf(shard: string): string
  /** The position of a shard at an offset of its stream; null = it has no positions. */
  readonly positionAt: ((shard: string, offset: number) => Position | undefined) | null
}

/** Keeps writers from all primaries, or from none. @throws MigrateError FM_FENCE_UNAVAILABLE */
export async function putUpClusterFence(
  needs: ClusterFenceNeeds,
  kind: 'auto' | FenceKind,
  check: boolean,
): Promise<Fence> {
  const { topology } = needs
  await settled(needs)
  const fences: Fence[] = []
  const shards = topology.view.shards.filter(({ primary }) => primary.slots.length > 0)
  const putUp = async (shard: ClusterShard, of: 'auto' | FenceKind): Promise<FenceKind> => {
    const fence = await fenceOf(needs, shard, of, check)
    fences.push(fence)
    return fence.kind
  }
  try {
    // The first one finds out which kind it is to be, for all.
    const found = await putUp(shards[0], kind)
    const others = await Promise.allSettled(shards.slice(1).map((shard) => putUp(shard, found)))
    for (const one of others) if (one.status === 'rejected') throw one.reason
    // What began to move meanwhile would be missing.
    if (!check && needs.pending() > 0) throw moving()
    return together(fences)
  } catch (error) {
    await Promise.allSettled(fences.map((fence) => fence.release()))
    throw error
  }
}

function fenceOf(
  { topology, ledger, positionAt, serverOf }: ClusterFenceNeeds,
  { name, primary }: ClusterShard,
  kind: 'auto' | FenceKind,
  check: boolean,
): Promise<Fence> {
  const endpoint = topology.primaryOf(name)
  const position = (offset: number): ReadonlyMap<string, Position> => {
    const found = positionAt?.(name, offset)
    return new Map(found === undefined ? [] : [[name, found]])
  }
  return putUpFence(
    {
      label: endpoint.label,
      moved: () => topology.shard(name)?.primary.id !== primary.id,
      open: () => RedisLink.open(endpoint),
      ...{ ledger, server: serverOf(name) },
      position: positionAt === null ? null : position,
    },
    kind,
    check,
  )
}

/** Waits until no slot is on its way. @throws MigrateError FM_FENCE_UNAVAILABLE */
async function settled({ topology, pending }: ClusterFenceNeeds): Promise<void> {
  const deadline = Date.now() + SETTLES_WITHIN_MS
  await topology.look()
  while (pending() > 0 || topology.view.moving.size > 0) {
    if (Date.now() > deadline) throw moving()
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

function moving(): MigrateError {
  return new MigrateError(
    'FM_FENCE_UNAVAILABLE',
    'slots of the source are on their way from node to node now',
    'Switch over when CLUSTER NODES shows no slot under way; the migration goes on.',
    { retryable: true },
  )
}

/** Fences of several nodes as one: it stands only where all stand. */
function together(fences: readonly Fence[]): Fence {
  const [first] = fences
  const all = async (use: (fence: Fence) => Promise<unknown>): Promise<void> => {
    const done = await Promise.allSettled(fences.map(use))
    for (const one of done) if (one.status === 'rejected') throw one.reason
  }
  return {
    kind: first.kind,
    note: `${first.note}, at ${fences.length} primaries`,
    positions: async () =>
      new Map((await Promise.all(fences.map((fence) => fence.positions()))).flatMap((map) => [...map])),
    refresh: () => all((fence) => fence.refresh()),
    fell: () => fences.some((fence) => fence.fell()),
    keep: () => {
      for (const fence of fences) fence.keep?.()
    },
    release: () => all((fence) => fence.release()),
  }
}
