import { SLOTS } from '@ferrite-migrate/protocol'
import type { ClusterNode } from './cluster-node.js'
import { until } from './until.js'

/** Makes a cluster of nodes that know no other: slots in equal parts, one replica each for as many primaries as there are. */
export async function formCluster(primaries: readonly ClusterNode[], replicas: readonly ClusterNode[]): Promise<void> {
  await Promise.all([
    // Epochs that differ from the beginning spare the nodes a round of collisions.
    ...[...primaries, ...replicas].map((node, i) => node.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)),
    ...primaries.map((node, i) => {
      const first = Math.floor((SLOTS * i) / primaries.length)
      const last = Math.floor((SLOTS * (i + 1)) / primaries.length) - 1
      return node.command('CLUSTER', 'ADDSLOTSRANGE', first, last)
    }),
  ])
  await introduce([...primaries, ...replicas])
  await Promise.all(replicas.map((replica, i) => replicate(replica, primaries[i % primaries.length])))
}

/** Everybody meets everybody, which is faster than what gossip carries. */
export async function introduce(nodes: readonly ClusterNode[]): Promise<void> {
  await Promise.all(
    nodes.flatMap((node) =>
      nodes
        .filter((other) => other !== node)
        .map((other) => node.command('CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort)),
    ),
  )
}

/** Makes a node without slots the replica of a primary, as soon as it knows it. */
export async function replicate(replica: ClusterNode, primary: ClusterNode): Promise<void> {
  await until(async () => {
    const known = (await replica.view()).find(({ id }) => id === primary.id)
    return known?.flags.includes('master') === true && !known.flags.includes('handshake')
  }, `${replica.url} knew its primary`)
  await replica.command('CLUSTER', 'REPLICATE', primary.id)
}
