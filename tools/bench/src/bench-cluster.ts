import { keySlot, type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { type ClusterNode, RedisCluster } from '@ferrite-migrate/servers'
import { SlotWriter } from './slot-writer.js'

const HOLD = ['--repl-backlog-size', '64mb', '--repl-diskless-sync-delay', '0']

/** A cluster of three primaries without replicas, which would take the machine's time, and a connection to each. Close it. */
export class BenchCluster {
  readonly cluster: RedisCluster
  readonly nodes: readonly ClusterNode[]
  readonly links: readonly RedisLink[]
  private readonly owners: Uint8Array

  private constructor(
    cluster: RedisCluster,
    nodes: readonly ClusterNode[],
    links: readonly RedisLink[],
    owners: Uint8Array,
  ) {
    this.cluster = cluster
    this.nodes = nodes
    this.links = links
    this.owners = owners
  }

  static async start(): Promise<BenchCluster> {
    const cluster = await RedisCluster.start({ replicas: 0, args: HOLD })
    const nodes = await cluster.primaries()
    const owners = new Uint8Array(16_384)
    for (const [i, node] of nodes.entries())
      for (const { first, last } of await cluster.slotsOf(node)) owners.fill(i, first, last + 1)
    const links = await Promise.all(nodes.map((node) => RedisLink.open(parseEndpoint(urlOf(node)))))
    return new BenchCluster(cluster, nodes, links, owners)
  }

  get url(): string {
    return this.cluster.url
  }

  writer(): SlotWriter {
    return new SlotWriter(this.nodes.length, (slot) => this.owners[slot])
  }

  nodeOf(slot: number): ClusterNode {
    return this.nodes[this.owners[slot]]
  }

  /** One command at the node of its key, as the slots were in the beginning. */
  call(name: string, key: string, ...more: (string | number)[]): Promise<Reply> {
    return this.links[this.owners[keySlot(Buffer.from(key))]].call(name, key, ...more)
  }

  /** Sends to all nodes what a writer has for each. @throws ReplyError the first error that is answered */
  async send(parts: ReturnType<SlotWriter['takeAll']>): Promise<void> {
    const replies = await Promise.all(
      parts.map(({ data, commands }, node) =>
        this.links[node].pipeline((out) => {
          out.raw(data)
          return commands
        }),
      ),
    )
    const refused = replies.flat().find((reply) => reply instanceof ReplyError)
    if (refused !== undefined) throw refused
  }

  async empty(): Promise<void> {
    await Promise.all(this.links.map((link) => link.call('FLUSHALL', 'SYNC')))
  }

  async stop(): Promise<void> {
    for (const link of this.links) link.close()
    await this.cluster.stop()
  }
}

export function urlOf(node: ClusterNode): string {
  return `redis://127.0.0.1:${node.port}`
}
