import {
  type AdapterContext,
  counted,
  type Fence,
  type FenceKind,
  type Finding,
  type KeyReader,
  MigrateError,
  type Position,
  type Shard,
  type ShardChange,
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
  RedisLink,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import { parseUsers, putBackAcl } from '../acl-users.js'
import { capabilitiesOf, descriptionOf } from '../capture.js'
import { examineSource, type SourceFacts, sourceFindings } from '../preflight.js'
import { putUpFence } from '../redis-fence.js'
import { psyncShard } from '../redis-shards.js'
import { surveySource } from '../survey.js'
import { wantedSettings } from '../wanted-settings.js'
import { ClusterShards } from './cluster-shards.js'
import { keysPerSlot, slotsOf, surveySlots } from './slot-survey.js'

/** A primary as it was when the source was opened. */
interface Primary {
  readonly shard: string
  readonly endpoint: Endpoint
  readonly facts: SourceFacts
}

/** How long slots on their way may keep a cutover waiting, ms. */
const SETTLES_WITHIN_MS = 10_000
const LOOK_MS = 20

/** A Redis or Valkey cluster as a source: one shard a primary, each followed by replication. */
export class ClusterSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly description: Readonly<Record<string, string>>
  readonly relativeExpiry: boolean
  readonly database = 0
  readonly identity: string
  private readonly context: AdapterContext
  private readonly topology: ClusterTopology
  private readonly primaries: readonly Primary[]
  private readonly cluster: ClusterShards
  private readonly trace: WireTrace | null
  private readonly meters = new Map<string, Promise<RedisLink>>()

  private constructor(
    context: AdapterContext,
    topology: ClusterTopology,
    primaries: readonly Primary[],
    cluster: ClusterShards,
    trace: WireTrace | null,
  ) {
    const { options } = context
    const [{ facts }] = primaries
    const { shards } = topology.view
    this.context = context
    this.topology = topology
    this.primaries = primaries
    this.cluster = cluster
    this.trace = trace
    this.relativeExpiry = primaries.some((one) => one.facts.major < 7)
    this.capabilities = { ...capabilitiesOf('psync', facts), together: true }
    this.identity = `cluster ${shards
      .map(({ name }) => name)
      .sort()
      .join(' ')}`
    this.description = {
      ...descriptionOf('psync', facts, wantedSettings(options, facts)),
      role: 'cluster',
      keys: String(primaries.reduce((sum, one) => sum + one.facts.keys, 0)),
      cluster: `${shards.length} shards: ${primaries.map(({ endpoint }) => endpoint.label).join(', ')}`,
    }
  }

  /** Takes the topology over: it is closed with the source. @throws MigrateError FM_CLUSTER_*, FM_CONNECT_*, FM_AUTH_* */
  static async open(context: AdapterContext, topology: ClusterTopology): Promise<ClusterSource> {
    const { options, logger } = context
    const trace = wireTrace(logger, 'source')
    try {
      const wanted = String(options.capture)
      if (wanted !== 'auto' && wanted !== 'psync')
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `a cluster is followed by replication, and not by --capture ${wanted}`,
          'Leave --capture out, or read its nodes one by one (--source-option cluster=node).',
        )
      const primaries = await Promise.all(
        topology.view.shards
          .filter(({ primary }) => primary.slots.length > 0)
          .map(({ name }) => examine(name, topology.primaryOf(name), context.signal)),
      )
      const cluster = await ClusterShards.open({
        ...{ topology, logger, trace },
        stream: async (shard, elsewhere) => {
          const { endpoint, facts } =
            primaries.find((one) => one.shard === shard) ??
            (await examine(shard, topology.primaryOf(shard), context.signal))
          return psyncShard(context, endpoint, facts, wantedSettings(options, facts), trace, {
            id: shard,
            elsewhere,
          })
        },
      })
      return new ClusterSource(context, topology, primaries, cluster, trace)
    } catch (error) {
      topology.close()
      throw error
    }
  }

  get shards(): readonly Shard[] {
    return this.cluster.all
  }

  watch(signal: AbortSignal): AsyncIterable<ShardChange> {
    return this.cluster.watch(signal)
  }

  async preflight(): Promise<readonly Finding[]> {
    const chained = this.context.options.chained === true
    const seen = new Map<string, Finding>()
    const refused = this.primaries.find(({ facts }) => facts.psyncRefusal !== '')
    if (refused !== undefined)
      seen.set('psync', {
        level: 'fail',
        code: 'FM_PSYNC_REFUSED',
        text: `${refused.endpoint.label} refuses PSYNC: ${refused.facts.psyncRefusal}; a cluster is read by replication: give the user the rights listed in docs/permissions.md on every node`,
      })
    for (const { endpoint, facts } of this.primaries)
      for (const finding of sourceFindings({ ...facts, cluster: false }, 'psync', chained)) {
        const name = `${finding.code} ${finding.text}`
        if (!seen.has(name)) seen.set(name, { ...finding, text: `${endpoint.label}: ${finding.text}` })
      }
    return [await this.slotsFinding(), ...seen.values()]
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
    return new ClusterKeyReader(this.topology, {
      sliceLimit: Number(this.context.options['slice-limit']),
      trace: this.trace,
      digest: { fieldExpiry: true },
      signal: this.context.signal,
    })
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

  /** Writers are kept from all primaries, or from none. */
  async fence(kind: 'auto' | FenceKind, check: boolean): Promise<Fence> {
    await this.settled()
    const { ledger } = this.context
    const fences: Fence[] = []
    try {
      for (const shard of this.cluster.all) {
        const endpoint = this.topology.primaryOf(shard.id)
        const server = this.primaries.find((one) => one.shard === shard.id)?.facts.runId ?? ''
        const primary = this.topology.shard(shard.id)?.primary.id
        fences.push(
          await putUpFence(
            {
              label: endpoint.label,
              moved: () => this.topology.shard(shard.id)?.primary.id !== primary,
              open: () => RedisLink.open(endpoint),
              ...{ ledger, server },
              position: (offset): ReadonlyMap<string, Position> => new Map([[shard.id, shard.positionAt(offset)]]),
            },
            fences[0]?.kind ?? kind,
            check,
          ),
        )
      }
      // What began to move meanwhile would be missing.
      if (!check && this.cluster.pending > 0) throw moving()
      return together(fences)
    } catch (error) {
      await Promise.allSettled(fences.map((fence) => fence.release()))
      throw error
    }
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

  /** Of the busiest node. */
  async load(): Promise<{ cpu: number | null; latencyMs: number }> {
    const latencies = await Promise.all(
      this.topology.view.shards.map(async ({ name }) => {
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
    await this.cluster.close()
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

  /** Waits until no slot is on its way. @throws MigrateError FM_FENCE_UNAVAILABLE */
  private async settled(): Promise<void> {
    const deadline = Date.now() + SETTLES_WITHIN_MS
    await this.topology.look()
    while (this.cluster.pending > 0 || this.topology.view.moving.size > 0) {
      if (Date.now() > deadline) throw moving()
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
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
