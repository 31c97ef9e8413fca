import {
  type AdapterContext,
  counted,
  type Fence,
  type FenceKind,
  type Finding,
  type KeyReader,
  MigrateError,
  type Shard,
  type Source,
  type SourceCapabilities,
  type SourceSurvey,
} from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import {
  ClusterKeyReader,
  type ClusterTopology,
  type Endpoint,
  handshakeError,
  keysPerSlot,
  RedisLink,
  replicaEndpoint,
  SlotKeys,
  slotTag,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import { parseUsers, putBackAcl } from '../acl-users.js'
import { type Capture, capabilitiesOf, descriptionOf } from '../capture.js'
import { examineSource, type SourceFacts, sourceFindings } from '../preflight.js'
import { notificationFeed, psyncShard, scanShard } from '../redis-shards.js'
import { surveySource } from '../survey.js'
import { wantedSettings } from '../wanted-settings.js'
import { ClusterFeed } from './cluster-feed.js'
import { putUpClusterFence } from './cluster-fence.js'
import { ClusterShards } from './cluster-shards.js'
import { slotsOf, surveySlots } from './slot-survey.js'

/** A primary as it was when the source was opened. */
interface Primary {
  readonly shard: string
  readonly endpoint: Endpoint
  readonly facts: SourceFacts
}

/** What a source is made of: by replication a shard a primary, else one that asks all of them. */
type Followed =
  | { readonly capture: 'psync'; readonly cluster: ClusterShards }
  | { readonly capture: 'notifications' | 'polling'; readonly shard: Shard; close(): Promise<void> }

/**
 * A Redis or Valkey cluster as a source: one shard a primary, each followed by replication; or, where the nodes refuse that, one
 * shard that scans all of them and listens to their notifications.
 */
export class ClusterSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly description: Readonly<Record<string, string>>
  readonly relativeExpiry: boolean
  readonly database: number | undefined
  readonly identity: string
  private readonly context: AdapterContext
  private readonly topology: ClusterTopology
  private readonly primaries: readonly Primary[]
  private readonly followed: Followed
  byKeys?: NonNullable<Source['byKeys']>
  private readonly trace: WireTrace | null
  private readonly meters = new Map<string, Promise<RedisLink>>()

  private constructor(
    context: AdapterContext,
    topology: ClusterTopology,
    primaries: readonly Primary[],
    followed: Followed,
    trace: WireTrace | null,
  ) {
    const { options } = context
    const { capture } = followed
    const [{ facts }] = primaries
    const { shards } = topology.view
    this.context = context
    this.topology = topology
    this.primaries = primaries
    this.followed = followed
    this.trace = trace
    this.database = hasOneDatabase(facts) ? undefined : 0
    this.relativeExpiry = primaries.some((one) => one.facts.major < 7)
    const capabilities = capabilitiesOf(capture, facts)
    // Cursors say nothing once slots have moved.
    this.capabilities = capture === 'psync' ? { ...capabilities, together: true } : { ...capabilities, resume: 'none' }
    this.identity = `cluster ${shards
      .map(({ name }) => name)
      .sort()
      .join(' ')}`
    this.description = {
      ...descriptionOf(capture, facts, capture === 'psync' ? wantedSettings(options, facts) : []),
      role: 'cluster',
      keys: String(primaries.reduce((sum, one) => sum + one.facts.keys, 0)),
      cluster: `${shards.length} shards: ${primaries.map(({ endpoint }) => endpoint.label).join(', ')}`,
      ...(capture === 'psync' && options.prefer === 'replica'
        ? { 'snapshot and changes from': 'a replica of each shard, where one hears its primary' }
        : {}),
    }
  }

  /**
   * Takes the topology over: it is closed with the source.
   * @param again opens the same cluster, read by its keys
   * @throws MigrateError FM_CLUSTER_*, FM_CONNECT_*, FM_AUTH_*, FM_PSYNC_REFUSED
   */
  static async open(
    context: AdapterContext,
    topology: ClusterTopology,
    again: (capture: Capture) => Promise<Source>,
  ): Promise<ClusterSource> {
    const { options, logger } = context
    const trace = wireTrace(logger, 'source')
    try {
      const primaries = await Promise.all(
        ownShards(context, topology).map(({ name }) => examine(name, topology.primaryOf(name), context.signal)),
      )
      const capture = captureOf(String(options.capture), primaries)
      const of = async (shard: string): Promise<Primary> =>
        primaries.find((one) => one.shard === shard) ?? examine(shard, topology.primaryOf(shard), context.signal)
      const followed =
        capture === 'psync'
          ? await byReplication(context, topology, of, trace)
          : byScan(context, topology, capture, of, trace)
      const source = new ClusterSource(context, topology, primaries, followed, trace)
      if (capture === 'psync' && options.capture === 'auto') source.byKeys = () => again('notifications')
      return source
    } catch (error) {
      topology.close()
      throw error
    }
  }

  private get cluster(): ClusterShards | null {
    return this.followed.capture === 'psync' ? this.followed.cluster : null
  }

  get shards(): readonly Shard[] {
    return this.followed.capture === 'psync' ? this.followed.cluster.all : [this.followed.shard]
  }

  get watch(): Source['watch'] {
    const { cluster } = this
    return cluster === null ? undefined : (signal) => cluster.watch(signal)
  }

  get apart(): Source['apart'] {
    const { cluster } = this
    return cluster === null ? undefined : (shards) => cluster.apart(shards)
  }

  async preflight(): Promise<readonly Finding[]> {
    const chained = this.context.options.chained === true
    const seen = new Map<string, Finding>()
    for (const { endpoint, facts } of this.primaries)
      for (const finding of sourceFindings({ ...facts, cluster: false }, this.followed.capture, chained)) {
        const name = `${finding.code} ${finding.text}`
        if (!seen.has(name)) seen.set(name, { ...finding, text: `${endpoint.label}: ${finding.text}` })
      }
    return [await this.slotsFinding(), ...(await this.rightsFindings()), ...seen.values()]
  }

  /** What reading a slot that has moved takes, asked for before it is needed. */
  private async rightsFindings(): Promise<Finding[]> {
    if (this.followed.capture !== 'psync') return []
    const refused = await Promise.all(
      this.primaries.map(({ shard, endpoint }) =>
        this.at(shard, async (link): Promise<Finding[]> => {
          const slot = this.topology.shard(shard)?.primary.slots[0]?.[0] ?? 0
          const asked: [string, readonly string[]][] = [
            ['CLUSTER GETKEYSINSLOT', ['CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1']],
            ['DUMP', ['DUMP', `{${slotTag(slot)}}`]],
            ['EVAL', ['EVAL', 'return 1', '0']],
          ]
          const replies = await link.pipeline((out) => {
            for (const [, argv] of asked) out.call(...argv)
            return asked.length
          })
          return replies.flatMap((reply, i): Finding[] => {
            if (!(reply instanceof ReplyError) || !/^NOPERM|unknown (sub)?command/i.test(reply.message)) return []
            return [
              {
                level: 'fail',
                code: 'FM_AUTH_RIGHTS',
                text: `${endpoint.label} refuses ${asked[i][0]}, without which a slot that moves cannot be read again: ${reply.message.slice(0, 120)}; see docs/permissions.md, or use --capture notifications`,
              },
            ]
          })
        }),
      ),
    )
    return refused.flat()
  }

  private async slotsFinding(): Promise<Finding> {
    const primaries = await Promise.all(
      this.primaries.map(({ shard, facts, endpoint }) =>
        this.at(shard, async (link) => {
          const primary = this.topology.shard(shard)?.primary
          const slots = primary === undefined ? [] : slotsOf(primary)
          const counts = await keysPerSlot(link, slots)
          const fullest = counts.reduce((best, count, i) => (count > counts[best] ? i : best), 0)
          return { slots, endpoint, facts, fullest: { slot: slots[fullest] ?? -1, keys: counts[fullest] ?? 0 } }
        }),
      ),
    )
    const all = primaries.reduce((sum, { facts }) => sum + facts.keys, 0)
    const { slot, keys } = primaries.map(({ fullest }) => fullest).reduce((a, b) => (b.keys > a.keys ? b : a))
    const share = (part: number): string => `${Math.round((part / Math.max(1, all)) * 100)}%`
    const each = primaries.map(
      ({ endpoint, slots, facts }) =>
        `${endpoint.label} ${counted(slots.length, 'slot')}, ${counted(facts.keys, 'key')} (${share(facts.keys)})`,
    )
    return {
      level: 'info',
      code: 'source-slots',
      text: `the source is a cluster of ${counted(primaries.length, 'primary', 'primaries')}: ${each.join('; ')}${keys > 0 ? `; its fullest slot, ${slot}, has ${counted(keys, 'key')} (${share(keys)})` : ''}`,
    }
  }

  reader(): KeyReader {
    return readerOf(this.context, this.topology, this.trace)
  }

  async keysOf(commands: readonly (readonly Buffer[])[]): Promise<readonly (readonly Buffer[] | null)[]> {
    return this.at(this.topology.view.shards[0].name, async (link) => {
      const replies = await link.pipeline((out) => {
        for (const argv of commands) out.call('COMMAND', 'GETKEYS', ...argv)
        return commands.length
      })
      return replies.map((reply) => (Array.isArray(reply) ? reply.filter((key) => Buffer.isBuffer(key)) : null))
    })
  }

  fence(kind: 'auto' | FenceKind, check: boolean): Promise<Fence> {
    const { topology, cluster } = this
    return putUpClusterFence(
      {
        ...{ topology, ledger: this.context.ledger },
        pending: () => cluster?.pending ?? 0,
        serverOf: (shard) => this.primaries.find((one) => one.shard === shard)?.facts.runId ?? '',
        positionAt:
          cluster === null ? null : (shard, offset) => cluster.all.find(({ id }) => id === shard)?.positionAt(offset),
      },
      kind,
      check,
    )
  }

  async putBack(what: string, former: string): Promise<void> {
    for (const { name } of this.topology.view.shards)
      await this.at(name, async (link) => {
        if (what === 'acl') await putBackAcl(link, parseUsers(former))
        else if (what.startsWith('config ')) await link.call('CONFIG', 'SET', what.slice('config '.length), former)
      })
  }

  async sees(db: number, key: Buffer): Promise<boolean> {
    const reader = this.reader()
    try {
      return (await reader.exist(db, [key]))[0]
    } finally {
      await reader.close()
    }
  }

  async survey(): Promise<SourceSurvey> {
    const asked = await Promise.all(
      this.topology.view.shards
        .filter(({ primary }) => primary.slots.length > 0)
        .map(({ name, primary }) =>
          this.at(name, async (link) => ({
            ...{ name, survey: await surveySource(link), slots: await surveySlots(link, primary) },
          })),
        ),
    )
    const surveys = asked.map(({ survey }) => survey)
    const [first] = surveys
    const keys = new Map<number, number>()
    const commands = new Map<string, number>()
    for (const one of surveys) {
      for (const [db, count] of one.keys) keys.set(db, (keys.get(db) ?? 0) + count)
      for (const [name, count] of one.commands) commands.set(name, (commands.get(name) ?? 0) + count)
    }
    return {
      ...first,
      keys,
      commands,
      usedMemory: surveys.reduce((sum, one) => sum + one.usedMemory, 0),
      cluster: false,
      shards: asked.map(({ name, survey, slots }) => ({
        ...{ shard: name, place: this.topology.primaryOf(name).label, usedMemory: survey.usedMemory },
        ...{ keys: survey.keys.get(0) ?? 0, ...slots },
      })),
    }
  }

  /** Of the busiest node that is read. */
  async load(): Promise<{ cpu: number | null; latencyMs: number }> {
    const latencies = await Promise.all(
      ownShards(this.context, this.topology).map(async ({ name }) => {
        const link = await this.meter(name)
        const askedAt = performance.now()
        await link.call('PING')
        return performance.now() - askedAt
      }),
    )
    return { cpu: null, latencyMs: Math.max(...latencies) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const meter of this.meters.values())
      await meter.then(
        (link) => link.close(),
        () => undefined,
      )
    await (this.followed.capture === 'psync' ? this.followed.cluster : this.followed).close()
    this.topology.close()
  }

  private meter(shard: string): Promise<RedisLink> {
    let meter = this.meters.get(shard)
    if (meter === undefined) {
      meter = RedisLink.open(this.topology.primaryOf(shard), this.trace)
      this.meters.set(shard, meter)
      const forget = (): void => void this.meters.delete(shard)
      meter.then((link) => link.closed.then(forget), forget)
    }
    return meter
  }

  private async at<T>(shard: string, use: (link: RedisLink) => Promise<T>): Promise<T> {
    const endpoint = this.topology.primaryOf(shard)
    const link = await RedisLink.open(endpoint, null)
    try {
      return await use(link)
    } catch (error) {
      throw error instanceof ReplyError ? handshakeError(endpoint, error.message) : error
    } finally {
      link.close()
    }
  }
}

/** Those that have slots and are read here; all where none of them is there any more. */
function ownShards({ shards }: AdapterContext, { view }: ClusterTopology): ClusterTopology['view']['shards'] {
  const all = view.shards.filter(({ primary }) => primary.slots.length > 0)
  const own = all.filter(({ name }) => shards?.includes(name) ?? true)
  return own.length > 0 ? own : all
}

async function examine(shard: string, endpoint: Endpoint, signal: AbortSignal): Promise<Primary> {
  const link = await RedisLink.open(endpoint, null, undefined, signal)
  link.hurryAfter(signal)
  try {
    return { shard, endpoint, facts: await examineSource(link) }
  } catch (error) {
    throw error instanceof ReplyError ? handshakeError(endpoint, error.message) : error
  } finally {
    link.close()
  }
}

/** @throws MigrateError FM_PSYNC_REFUSED */
function captureOf(wanted: string, primaries: readonly Primary[]): Capture {
  if (wanted === 'notifications' || wanted === 'polling') return wanted
  const refused = primaries.find(({ facts }) => facts.psyncRefusal !== '')
  if (refused === undefined) return 'psync'
  if (wanted === 'psync')
    throw new MigrateError(
      'FM_PSYNC_REFUSED',
      `${refused.endpoint.label} refuses PSYNC: ${refused.facts.psyncRefusal}`,
      'Use --capture notifications, or give the user the rights listed in docs/permissions.md on every node.',
    )
  return 'notifications'
}

function readerOf(context: AdapterContext, topology: ClusterTopology, trace: WireTrace | null): ClusterKeyReader {
  return new ClusterKeyReader(topology, {
    sliceLimit: Number(context.options['slice-limit']),
    trace,
    digest: { fieldExpiry: true },
    signal: context.signal,
  })
}

async function byReplication(
  context: AdapterContext,
  topology: ClusterTopology,
  of: (shard: string) => Promise<Primary>,
  trace: WireTrace | null,
): Promise<Followed> {
  const own = ownShards(context, topology)
  const isPart = own.some(({ name }) => context.shards?.includes(name) === true)
  const cluster = await ClusterShards.open({
    ...{ topology, logger: context.logger, trace },
    ...(isPart ? { only: own.map(({ name }) => name) } : {}),
    stream: async (shard, elsewhere) => {
      const { endpoint, facts } = await of(shard)
      return psyncShard(context, endpoint, facts, wantedSettings(context.options, facts), trace, {
        ...{ id: shard, elsewhere, of: topology.view.shards.length },
        ...(context.options.prefer === 'replica' ? { streamFrom: replicaEndpoint(topology, shard) } : {}),
      })
    },
  })
  return { capture: 'psync', cluster }
}

function byScan(
  context: AdapterContext,
  topology: ClusterTopology,
  capture: 'notifications' | 'polling',
  of: (shard: string) => Promise<Primary>,
  trace: WireTrace | null,
): Followed {
  const slotKeys = new SlotKeys(topology, trace)
  const shard = scanShard(context, capture, {
    lasting: false,
    reader: () => readerOf(context, topology, trace),
    feed: (signal) =>
      new ClusterFeed({
        ...{ topology, slotKeys, logger: context.logger },
        feed: async (name, told) => {
          const { endpoint, facts } = await of(name)
          return notificationFeed(context, endpoint, facts, signal, told)
        },
      }),
  })
  return { capture, shard, close: () => slotKeys.close() }
}

/** A cluster of Redis has database 0 only; of Valkey 9 it may have more, of which only that one is read. */
function hasOneDatabase({ product, major, config }: SourceFacts): boolean {
  return product === 'Redis' || major < 9 || config.get('cluster-databases') === '1'
}
