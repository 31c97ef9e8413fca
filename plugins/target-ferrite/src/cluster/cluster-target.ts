import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AdapterContext,
  type ChangeBatch,
  type Checkpoint,
  type Dialect,
  type Finding,
  type KeyReader,
  MigrateError,
  type PlantedKey,
  type RunClaim,
  type SnapshotBatch,
  type Target,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { keySlot, type Reply, ReplyError } from '@ferrite-migrate/protocol'
import {
  type ClusterAddress,
  ClusterKeyReader,
  ClusterTopology,
  clientNameOf,
  fenceKey,
  type RedisLink,
  RUNNING_KEY,
  temporaryPrefix,
  wireTrace,
} from '@ferrite-migrate/redis'
import type { Abilities } from '../abilities.js'
import { askLimits } from '../ask-limits.js'
import { dialectOf } from '../dialect.js'
import type { LaneOptions } from '../lane-options.js'
import { targetFindings } from '../preflight.js'
import type { UnsupportedPolicy } from '../rendered-batch.js'
import type { RequestLimits } from '../request-limits.js'
import { RunNote } from '../run-note.js'
import { ShardFence, shardClaim } from '../shard-fence.js'
import { endConnections, endFormer, removeTemporary } from '../take-over.js'
import { writerOf } from '../writer-name.js'
import { ClusterLane } from './cluster-lane.js'
import { probeNodes } from './probe-nodes.js'
import { RoutedCommands } from './routed-commands.js'
import { SlotCheckpoints } from './slot-checkpoints.js'
import type { TargetNode } from './target-node.js'
import { TargetNodes, type Way } from './target-nodes.js'

/** How long a question may wait for a slot on its way, ms. */
const ASK_MS = 10_000
/** How long the last mark may take. */
const LEAVING_MS = 3000

/** Of the whole cluster, found when it is opened. */
interface ClusterFacts {
  readonly able: Abilities
  readonly clockSkewMs: number
  readonly limits: RequestLimits
}

/** A cluster of Redis or Valkey as a target: each key is written at the node that has its slot. */
export class ClusterTarget implements Target {
  readonly dialect: Dialect
  readonly advisedLanes = 4
  /** Of the slots of a primary each comes once or twice then. */
  readonly advisedChanges = 8192
  private readonly context: AdapterContext
  private readonly nodes: TargetNodes
  private readonly facts: ClusterFacts
  private readonly commands: RoutedCommands
  private readonly note: RunNote
  /** Null = the whole migration is written by this process. */
  private fence: ShardFence | null = null
  private readonly lanes = new Map<number, ClusterLane>()
  private readonly checkpoints = new Map<string, SlotCheckpoints>()

  private constructor(context: AdapterContext, nodes: TargetNodes, facts: ClusterFacts) {
    this.context = context
    this.nodes = nodes
    this.facts = facts
    this.commands = new RoutedCommands(nodes, ASK_MS)
    const running = keySlot(Buffer.from(RUNNING_KEY))
    this.note = new RunNote(nodes.label, (...argv) => this.commands.one(running, ...argv))
    this.dialect = clusterDialect(facts.able, nodes.all.length)
  }

  /** @throws MigrateError when the cluster is not whole, a node cannot be reached, or refuses the probes */
  static async open(context: AdapterContext, { endpoint, seeds, nodeMap }: ClusterAddress): Promise<ClusterTarget> {
    const topology = await ClusterTopology.open({
      endpoint,
      seeds,
      nodeMap,
      option: '--target-option',
      signal: context.signal,
    })
    // One of many workers: a node that answers MOVED, or no more, is looked at anyway.
    if (context.worker !== undefined) topology.mind([])
    const nodes = new TargetNodes(topology, endpoint, wireTrace(context.logger, 'target'))
    try {
      await nodes.acceptAll()
      const able = await probeNodes(nodes, writerOf(context))
      const [first] = nodes.all
      const link = await first.link()
      const sentAt = Date.now()
      const time = await link.call('TIME').catch(() => null)
      const now = (sentAt + Date.now()) / 2
      const skew = Array.isArray(time) ? Math.round(Number(time[0]) * 1000 + Number(time[1]) / 1000 - now) : 0
      return new ClusterTarget(context, nodes, { able, clockSkewMs: skew, limits: await askLimits(link) })
    } catch (error) {
      await nodes.close()
      throw error
    }
  }

  /** What an operator should know of each node; what is true of all is said once. */
  async preflight(): Promise<readonly Finding[]> {
    const { able } = this.facts
    const { all } = this.nodes
    const findings: Finding[] = [
      {
        level: 'info',
        code: 'target',
        text: `the target is ${able.product}, a cluster of ${all.length} primaries; values are written by ${able.rendering}, each at the node of its slot`,
      },
    ]
    const said = new Set(['target', 'FM_TARGET_CLUSTER'])
    for (const node of all)
      for (const finding of await targetFindings(await node.link(), able)) {
        if (said.has(finding.code)) continue
        if (finding.code === 'target-field-ttl' || finding.code === 'target-hyperloglog') {
          said.add(finding.code)
          findings.push(finding)
          continue
        }
        const evicts = finding.code === 'FM_TARGET_EVICTS' && this.context.options['allow-eviction'] === true
        findings.push({
          ...finding,
          ...(evicts ? { level: 'warn' as const } : {}),
          text: `${node.endpoint.label}: ${finding.text}`,
        })
      }
    return [...findings, ...(await this.note.findings(this.context.migration))]
  }

  knows(command: string): boolean {
    return this.facts.able.commands === null || this.facts.able.commands.has(command)
  }

  write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    let lane = this.lanes.get(batch.lane)
    if (lane === undefined) {
      lane = new ClusterLane({
        nodes: this.nodes,
        retryMs: this.retryMs,
        signal: this.context.signal,
        clientName: this.clientName,
        optionsOf: (way) => this.optionsOf(way),
      })
      this.lanes.set(batch.lane, lane)
    }
    const checkpoints = checkpoint === undefined ? null : this.checkpointsOf(checkpoint.migration, checkpoint.shard)
    return lane.write(batch, checkpoint, checkpoints)
  }

  async refusesDatabase(db: number): Promise<string | null> {
    return db === 0 ? null : `${this.nodes.label} is a cluster, which has database 0 only`
  }

  async reconnect(): Promise<void> {
    for (const lane of this.lanes.values()) lane.close()
    this.lanes.clear()
    await Promise.all([...this.checkpoints.values()].map((one) => one.stop()))
    await this.nodes.acceptAll()
  }

  async claim(migration: string, claim: RunClaim): Promise<void> {
    const forShard = shardClaim(claim)
    if (forShard === null) return this.note.claim(migration, claim)
    this.fence = new ShardFence(migration, forShard, (command, ...argv) => this.fenceCommand(command, ...argv))
    this.nodes.admit = () => this.admit()
    await this.fence.put()
  }

  beat(): Promise<void> {
    return (this.fence ?? this.note).beat()
  }

  release(migration: string): Promise<void> {
    return (this.fence ?? this.note).release(migration)
  }

  /** @throws MigrateError FM_RUN_TAKEN */
  private admit(): Promise<void> {
    if (this.fence !== null) return this.fence.admit((command, ...argv) => this.fenceCommand(command, ...argv))
    return this.note.admit((...argv) => this.commands.one(keySlot(Buffer.from(RUNNING_KEY)), ...argv))
  }

  /** A command of the fence goes to the node of the key that it names: that of the fence, or of who runs. */
  private fenceCommand(command: string | Buffer, ...argv: (string | Buffer)[]): Promise<Reply> {
    return this.commands.one(keySlot(Buffer.from(argv[0])), String(command), ...argv)
  }

  /** The slot: no command and no transaction goes over two. */
  partOf(key: Buffer): number {
    return keySlot(key)
  }

  async plant(): Promise<PlantedKey> {
    const key = Buffer.from(`${temporaryPrefix(writerOf(this.context))}loop:${randomBytes(8).toString('hex')}`)
    const slot = keySlot(key)
    await this.commands.one(slot, 'SET', key, '1', 'PX', '60000')
    return {
      db: 0,
      key,
      remove: async () => {
        await this.commands.one(slot, 'DEL', key)
      },
    }
  }

  async takeOver(migration: string): Promise<void> {
    const { fence } = this
    if (fence !== null) {
      for (const node of this.nodes.all) await endFormer(await node.link(), (name) => fence.endsConnection(name))
      void this.sweepFormer(migration, fence)
      return
    }
    const { worker } = this.context
    const writer = writerOf({ migration, ...(worker === undefined ? {} : { worker }) }) ?? migration
    for (const node of this.nodes.all) {
      const link = await node.link()
      await endConnections(link, clientNameOf(writer))
      await removeTemporary(link, this.facts.able, temporaryPrefix(writer))
    }
  }

  /** Names under construction are of one epoch each: whoever goes on need not wait until the former ones are gone. */
  private async sweepFormer(migration: string, fence: ShardFence): Promise<void> {
    try {
      for (const node of this.nodes.all)
        await removeTemporary(await node.link(), this.facts.able, temporaryPrefix(migration), (key) =>
          fence.endsTemporary(key),
        )
    } catch (error) {
      this.context.logger.log('warn', `values under construction of a former worker stay: ${(error as Error).message}`)
    }
  }

  /** What has been answered by now counts, and what is under way is waited for: it may be there already. */
  async checkpoint(migration: string, shard: string): Promise<Checkpoint | undefined> {
    await Promise.all([...this.lanes.values()].map((lane) => lane.idle()))
    return this.checkpointsOf(migration, shard).load()
  }

  async forget(migration: string, shard: string): Promise<void> {
    await this.checkpointsOf(migration, shard).forget()
    const key = fenceKey(migration)
    // Whoever ends the whole migration leaves nothing of its workers either.
    if (this.fence === null) await this.commands.one(keySlot(key), 'DEL', key)
  }

  async takeAside(what: string, payload: Buffer): Promise<boolean> {
    if (what !== 'function' || !this.knows('FUNCTION')) return false
    const load = async (node: TargetNode): Promise<Reply> => {
      const link = await node.link()
      const [reply] = await link.pipeline((out) => {
        out.call('FUNCTION', 'LOAD', 'REPLACE', payload)
        return 1
      })
      return reply
    }
    const refusal = (await Promise.all(this.nodes.all.map(load))).find((reply) => reply instanceof ReplyError)
    if (refusal instanceof ReplyError)
      this.context.logger.log('warn', `a function library was not taken: ${refusal.message.slice(0, 160)}`)
    return refusal === undefined
  }

  reader(): KeyReader {
    return new ClusterKeyReader(this.nodes.topology, {
      digest: { fieldExpiry: this.facts.able.fieldExpiry },
      trace: wireTrace(this.context.logger, 'target'),
      signal: this.context.signal,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.checkpoints.values()) {
      // A run that has failed leaves the last mark that it wrote; a node that is away is not waited for.
      await Promise.race([one.flush().catch(() => undefined), sleep(LEAVING_MS, undefined, { ref: false })])
      await one.stop()
    }
    for (const lane of this.lanes.values()) lane.close()
    await this.nodes.close()
  }

  private get retryMs(): number {
    return Number(this.context.options['sync-timeout'])
  }

  private get clientName(): string | undefined {
    const writer = writerOf(this.context)
    return writer === undefined ? undefined : clientNameOf(writer)
  }

  private checkpointsOf(migration: string, shard: string): SlotCheckpoints {
    const name = `${migration} ${shard}`
    let checkpoints = this.checkpoints.get(name)
    if (checkpoints === undefined) {
      checkpoints = new SlotCheckpoints(migration, shard, this.nodes, this.retryMs, this.clientName)
      this.checkpoints.set(name, checkpoints)
    }
    return checkpoints
  }

  private optionsOf({ node, asking }: Way): LaneOptions {
    const { able, clockSkewMs, limits } = this.facts
    return {
      endpoint: node.endpoint,
      migration: writerOf(this.context),
      unsupported: String(this.context.options.unsupported) as UnsupportedPolicy,
      able,
      logger: this.context.logger,
      signal: this.context.signal,
      retryMs: this.retryMs,
      runId: () => node.identity,
      clockSkewMs,
      trace: wireTrace(this.context.logger, 'target'),
      limits,
      ofCluster: true,
      asking,
      admit: () => this.admit(),
      prove: async (db) => {
        const refusal = await this.refusesDatabase(db)
        if (refusal !== null) throw new MigrateError('FM_DB_RANGE', refusal, `Map the database with --db-map ${db}:0.`)
      },
      isProven: (db) => db === 0,
      control: (): Promise<RedisLink> => node.link(),
      unreachable: () => this.nodes.stillThere(node),
    }
  }
}

function clusterDialect(able: Abilities, primaries: number): Dialect {
  const dialect = dialectOf(able)
  return {
    ...dialect,
    product: `${able.product} cluster`,
    needsPlaces: true,
    facts: { ...dialect.facts, product: `${able.product}, a cluster of ${primaries} primaries`, cluster: 'yes' },
  }
}
