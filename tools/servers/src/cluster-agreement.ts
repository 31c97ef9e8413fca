import { SLOTS } from '@ferrite-migrate/protocol'
import type { ClusterNode } from './cluster-node.js'

/**
 * Why the cluster is not whole; null = it is: each living node says cluster_state:ok, all agree on who owns which slot and who
 * follows whom, a living node owns each slot, none takes a living one for dead, and each replica is linked to its primary.
 */
export async function disagreement(nodes: readonly ClusterNode[]): Promise<string | null> {
  const living = nodes.filter((node) => node.alive)
  const told = await Promise.all(living.map((node) => claim(node, living).catch((error: Error) => error.message)))
  const refused = told.find((one) => typeof one === 'string')
  if (refused !== undefined) return refused
  const maps = new Set(told.map((one) => (typeof one === 'string' ? one : one.roles)))
  return maps.size <= 1 ? null : 'the nodes disagree on owners of slots or on replicas'
}

/** What one node says of all. @throws Error with what is wrong with it */
async function claim(node: ClusterNode, living: readonly ClusterNode[]): Promise<{ roles: string }> {
  const at = `127.0.0.1:${node.port}`
  const state = (await node.facts('CLUSTER', 'INFO')).get('cluster_state')
  if (state !== 'ok') throw new Error(`${at} says cluster_state:${state}`)
  const view = await node.view()
  const alive = new Set(living.map(({ id }) => id))
  const roles: string[] = []
  let slots = 0
  for (const line of view) {
    if (alive.has(line.id) && (!line.connected || line.flags.some((flag) => /^(fail\??|handshake|noaddr)$/.test(flag))))
      throw new Error(`${at} takes ${line.host}:${line.port} for ${line.flags.join(',')}`)
    if (!alive.has(line.id)) {
      if (line.slots.length > 0) throw new Error(`${at} takes a dead node for an owner`)
      continue
    }
    roles.push(`${line.id} ${line.primary} ${line.slots.map(({ first, last }) => `${first}-${last}`).join(' ')}`)
    for (const { first, last } of line.slots) slots += last - first + 1
  }
  if (slots !== SLOTS) throw new Error(`${at} knows owners of ${slots} slots`)
  const known = new Set(view.map(({ id }) => id))
  if (living.some(({ id }) => !known.has(id))) throw new Error(`${at} does not know all nodes`)
  const primary = view.find(({ id }) => id === node.id)?.primary ?? null
  if (primary !== null && !(await node.follows(living.find(({ id }) => id === primary)?.port)))
    throw new Error(`${at} is no linked replica`)
  return { roles: roles.sort().join('\n') }
}
