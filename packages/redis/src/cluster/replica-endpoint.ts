import type { Address } from '@ferrite-migrate/contracts'
import type { Endpoint } from '../endpoint.js'
import { parseInfo } from '../info.js'
import type { ClusterNode } from './cluster-nodes.js'
import type { ClusterTopology } from './cluster-topology.js'

/**
 * Connections to a replica of a shard that hears its primary, to spare that; where there is none, to the primary. They end when the
 * replica leaves the shard, takes its primary's place or counts as failed.
 */
export function replicaEndpoint(topology: ClusterTopology, shard: string): Endpoint {
  const primary = topology.primaryOf(shard)
  let chosen: ClusterNode | null = null
  const locate = async (): Promise<Address> => {
    await topology.look()
    chosen = null
    for (const replica of topology.shard(shard)?.replicas ?? [])
      if (await hears(topology, replica)) {
        chosen = replica
        return topology.addressOf(replica)
      }
    return primary.locate()
  }
  const { moving } = primary
  if (moving === undefined) return primary
  return {
    ...primary,
    anyRole: true,
    locate,
    moving: {
      moved: (listener) =>
        topology.follow(({ shards }) => {
          const found = shards.find(({ name }) => name === shard)
          if (found === undefined) return
          const stays = found.replicas.some(({ id, failed }) => id === chosen?.id && !failed)
          const node = chosen !== null && stays ? chosen : found.primary
          if (node.address !== null) listener(topology.addressOf(node))
        }),
      doubt: moving.doubt,
      advice: moving.advice,
      get moves() {
        return moving.moves
      },
      close: moving.close,
    },
  }
}

/** Whether a replica answers, and has its primary's stream. */
async function hears(topology: ClusterTopology, replica: ClusterNode): Promise<boolean> {
  if (replica.failed || replica.address === null) return false
  try {
    const info = parseInfo(String(await topology.call(topology.addressOf(replica), 'INFO', 'replication')))
    return info.get('master_link_status') === 'up' && info.get('master_sync_in_progress') !== '1'
  } catch {
    return false
  }
}
