import { ReplyError } from '@ferrite-migrate/protocol'
import { handshakeError } from '@ferrite-migrate/redis'
import type { Abilities } from '../abilities.js'
import { probeTarget } from '../probe.js'
import { classify, isRedirect, refusalError } from '../target-error.js'
import { leastAbilities } from './least-abilities.js'
import type { TargetNode } from './target-node.js'
import type { TargetNodes } from './target-nodes.js'

/** Probes each node with keys in a slot of its own. @throws MigrateError when a node refuses the probes */
export async function probeNodes(nodes: TargetNodes, writer: string | undefined): Promise<Abilities> {
  return leastAbilities(await Promise.all(nodes.all.map((node) => probeNode(nodes, node, writer))))
}

async function probeNode(nodes: TargetNodes, node: TargetNode, writer: string | undefined): Promise<Abilities> {
  const { moving, owners } = nodes.topology.view
  const [edge] = nodes.edgesOf(node)
  // What a slot on its way answers is no ability.
  const still = [...owners.keys()].find((slot) => owners[slot] === owners[edge] && !moving.has(slot))
  try {
    return await probeTarget(await node.link(), writer, still ?? edge)
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    const { message } = error
    throw isRedirect(message) || ['fatal', 'full'].includes(classify(message))
      ? refusalError(node.endpoint, message)
      : handshakeError(node.endpoint, message)
  }
}
