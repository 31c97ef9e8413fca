import { type Reply, SLOTS } from '@ferrite-migrate/protocol'
import { disagreement } from './cluster-agreement.js'
import { ClusterNode, type ClusterNodeOptions } from './cluster-node.js'
import { type NodeLine, rangesOf, type SlotRange, slotsOf } from './cluster-nodes.js'
import { formCluster, introduce, replicate } from './form-cluster.js'
import { RedisSlotMigration, type SlotMigration, ValkeySlotMigration } from './slot-migration.js'
import { SlotMove } from './slot-move.js'
import { credentials } from './test-node.js'
import { until } from './until.js'
import { anyServer, type ServerVersion } from './versions.js'

export interface RedisClusterOptions {
  /** Default: any that can be had, redis-server on PATH first. */
  readonly version?: ServerVersion
  /** Default 3. */
  readonly primaries?: number
  /** Of each primary; default 1. */
  readonly replicas?: 0 | 1
  /** Arguments of each server, such as ['--repl-backlog-size', '64mb']. */
  readonly args?: readonly string[]
  /** Keep data over a restart: append-only file. */
  readonly persistent?: boolean
  /** Of all nodes, and between them. */
  readonly password?: string
  /** cluster-node-timeout, ms: a primary that is gone is replaced after it and one or two seconds. Default 1500. */
  readonly nodeTimeoutMs?: number
}

/** Slots of one move are open together, this many at a time. */
const OPEN_SLOTS = 512

/** A real cluster on loopback. Stop it: nothing else ends its servers. */
export class RedisCluster {
  readonly version: ServerVersion
  private readonly members: ClusterNode[]
  private readonly options: ClusterNodeOptions

  private constructor(options: ClusterNodeOptions, members: ClusterNode[]) {
    this.version = options.version
    this.options = options
    this.members = members
  }

  /** Starts a cluster and waits until it is whole. @throws Error when the version cannot be had or does not start */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const { primaries = 3, replicas = 1 } = options
    const settings: ClusterNodeOptions = {
      version: options.version ?? (await anyServer()).version,
      args: options.args ?? [],
      persistent: options.persistent ?? false,
      nodeTimeoutMs: options.nodeTimeoutMs ?? 1500,
      password: options.password,
    }
    const count = primaries * (1 + replicas)
    const started = await Promise.allSettled(Array.from({ length: count }, () => ClusterNode.start(settings)))
    const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const cluster = new RedisCluster(settings, nodes)
    try {
      for (const one of started) if (one.status === 'rejected') throw one.reason
      await formCluster(nodes.slice(0, primaries), nodes.slice(primaries))
      await cluster.waitUntilOk()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** All nodes, dead ones among them: first those that were started as primaries, then their replicas in the same order. */
  get nodes(): readonly ClusterNode[] {
    return this.members
  }

  get url(): string {
    const hosts = this.living().map(({ port }) => `127.0.0.1:${port}`)
    return `redis-cluster://${credentials(this.options.password)}${hosts.join(',')}`
  }

  /** One command to one node, no redirection followed. @throws ReplyError, MigrateError when it is out of reach */
  command(node: ClusterNode, ...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    return node.command(...argv)
  }

  /** The living nodes that own slots, in the order of `nodes`. */
  async primaries(): Promise<ClusterNode[]> {
    const owners = new Set(await this.owners())
    return this.living().filter((node) => owners.has(node))
  }

  /** The living replicas of a primary. */
  async replicasOf(primary: ClusterNode): Promise<ClusterNode[]> {
    const selves = await this.selves()
    return this.living().filter((node) => selves.get(node)?.primary === primary.id)
  }

  /** The living node that owns a slot. @throws Error when none does */
  async nodeOf(slot: number): Promise<ClusterNode> {
    const node = (await this.owners())[slot]
    if (node === undefined) throw new Error(`slot ${slot} has no owner`)
    return node
  }

  /** The slots of a node. */
  async slotsOf(node: ClusterNode): Promise<SlotRange[]> {
    return rangesOf((await this.owners()).flatMap((owner, slot) => (owner === node ? [slot] : [])))
  }

  /** Moves a slot with its keys by MIGRATE. @throws ReplyError when a node refuses: the slot may stay open then */
  async reshardSlot(slot: number, from: ClusterNode, to: ClusterNode): Promise<void> {
    await (await this.beginMove([slot], from, to)).finish()
  }

  /** Moves many slots by MIGRATE. */
  async reshardSlots(slots: readonly number[], from: ClusterNode, to: ClusterNode): Promise<void> {
    for (let at = 0; at < slots.length; at += OPEN_SLOTS)
      await (await this.beginMove(slots.slice(at, at + OPEN_SLOTS), from, to)).finish()
  }

  /** Opens slots for a move in steps. */
  async beginMove(slots: readonly number[], from: ClusterNode, to: ClusterNode): Promise<SlotMove> {
    const others = (await this.primaries()).filter((node) => node !== from && node !== to)
    return SlotMove.begin(slots, from, to, others, this.options.password)
  }

  /** Brings the keys of slots that were left open back to their owners and closes the slots. */
  async closeSlots(): Promise<void> {
    for (const node of this.living()) {
      const open = (await node.view()).find(({ id }) => id === node.id)?.open ?? []
      for (const { slot } of open) {
        const owner = await this.nodeOf(slot)
        for (const other of await this.primaries())
          if (other !== owner) await (await SlotMove.begin([slot], owner, other, [], this.options.password)).cancel()
      }
    }
  }

  /** Has the servers move slots: Valkey 9 and later, Redis 8.4 and later. @throws ReplyError when they refuse or cannot */
  migrateSlots(ranges: readonly SlotRange[], from: ClusterNode, to: ClusterNode): Promise<SlotMigration> {
    return this.isValkey ? ValkeySlotMigration.start(ranges, from, to) : RedisSlotMigration.start(ranges, from, to)
  }

  /** Makes a replica the primary, and waits until all know; `force` when its primary is dead, `takeover` without a vote. */
  async failover(
    replica: ClusterNode,
    how: { readonly force?: boolean; readonly takeover?: boolean } = {},
  ): Promise<void> {
    await replica.command('CLUSTER', 'FAILOVER', ...(how.takeover ? ['TAKEOVER'] : how.force ? ['FORCE'] : []))
    await until(async () => (await replica.role()) === 'master', 'a failover')
    await this.waitUntilOk()
  }

  /** kill -9. */
  async kill(node: ClusterNode): Promise<void> {
    await node.kill()
  }

  /** Starts a dead node again; it comes back as what the others say it is. */
  async restart(node: ClusterNode): Promise<void> {
    await node.restart()
  }

  /** A new node: a primary without slots, or a replica. */
  async addNode(of?: ClusterNode): Promise<ClusterNode> {
    const node = await ClusterNode.start(this.options)
    this.members.push(node)
    await introduce(this.living())
    if (of !== undefined) await replicate(node, of)
    await this.waitUntilOk()
    return node
  }

  /** Takes a node out and stops it; what it owns goes to the other primaries first, in equal parts. */
  async removeNode(node: ClusterNode): Promise<void> {
    const slots = slotsOf(await this.slotsOf(node))
    const heirs = (await this.primaries()).filter((other) => other !== node)
    for (const [i, heir] of heirs.entries()) {
      const part = (n: number): number => Math.floor((slots.length * n) / heirs.length)
      const share = slots.slice(part(i), part(i + 1))
      if (share.length === 0) continue
      if (this.movesSlotsItself) await (await this.migrateSlots(rangesOf(share), node, heir)).done()
      else await this.reshardSlots(share, node, heir)
    }
    for (const replica of await this.replicasOf(node)) await replicate(replica, heirs[0])
    await this.waitUntilOk()
    await node.stop()
    this.members.splice(this.members.indexOf(node), 1)
    await Promise.all(this.living().map((other) => other.command('CLUSTER', 'FORGET', node.id)))
    await this.waitUntilOk()
  }

  /** Waits until the living nodes serve all slots, agree on them, and replicas are linked; dead ones must have been replaced. */
  async waitUntilOk(): Promise<void> {
    let reason: string | null = null
    await until(async () => (reason = await disagreement(this.members)) === null, 'a whole cluster').catch(
      (error: Error) => {
        throw new Error(`${error.message}: ${reason}`)
      },
    )
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((node) => node.stop()))
  }

  private get isValkey(): boolean {
    return this.version.startsWith('valkey')
  }

  /** Whether `migrateSlots` is to be had. */
  get movesSlotsItself(): boolean {
    return this.isValkey || this.version === '8.6'
  }

  private living(): ClusterNode[] {
    return this.members.filter(({ alive }) => alive)
  }

  /** What each living node says of itself: nobody knows it sooner. */
  private async selves(): Promise<Map<ClusterNode, NodeLine>> {
    const lines = await Promise.all(
      this.living().map(async (node) => {
        const line = (await node.view()).find(({ flags }) => flags.includes('myself'))
        return line === undefined ? [] : [[node, line] as const]
      }),
    )
    return new Map(lines.flat())
  }

  /** The owner of each slot; where two nodes claim one, the later epoch counts. */
  private async owners(): Promise<(ClusterNode | undefined)[]> {
    const owners = new Array<ClusterNode | undefined>(SLOTS).fill(undefined)
    const claims = [...(await this.selves())].sort(([, a], [, b]) => a.epoch - b.epoch)
    for (const [node, { slots }] of claims) for (const { first, last } of slots) owners.fill(node, first, last + 1)
    return owners
  }
}
