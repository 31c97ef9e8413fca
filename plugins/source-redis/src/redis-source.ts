import {
  type AdapterContext,
  type ChangeLedger,
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
  asItIsNow,
  type Endpoint,
  handshakeError,
  parseEndpoint,
  primaryFinding,
  RedisKeyReader,
  RedisLink,
  readInfo,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import { parseUsers, putBackAcl } from './acl-users.js'
import { type Capture, capabilitiesOf, descriptionOf } from './capture.js'
import { examineSource, type SourceFacts, sourceFindings } from './preflight.js'
import { PsyncShard } from './psync-shard.js'
import { putUpFence } from './redis-fence.js'
import { notificationFeed, psyncShard, scanShard } from './redis-shards.js'
import { surveySource } from './survey.js'
import { wantedSettings } from './wanted-settings.js'

/** A Redis, Valkey or Ferrite server as a source. */
export class RedisSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly shards: readonly Shard[]
  readonly description: Readonly<Record<string, string>>
  readonly relativeExpiry: boolean
  readonly database: number | undefined
  readonly identity: string | undefined
  private readonly facts: SourceFacts
  private readonly ledger: ChangeLedger | undefined
  private readonly chained: boolean
  private readonly capture: Capture
  private readonly endpoint: Endpoint
  private readonly trace: WireTrace | null
  private meter: Promise<RedisLink> | null = null
  private lastCpu: { readonly seconds: number; readonly at: number } | null = null
  private readonly makeReader: () => RedisKeyReader
  byKeys?: NonNullable<Source['byKeys']>

  private constructor(context: AdapterContext, endpoint: Endpoint, facts: SourceFacts, capture: Capture) {
    const { options, logger } = context
    const trace: WireTrace | null = wireTrace(logger, 'source')
    this.facts = facts
    this.ledger = context.ledger
    this.chained = options.chained === true
    this.capture = capture
    this.endpoint = endpoint
    this.database = endpoint.namesDb ? endpoint.db : undefined
    // Of a primary that may be another one, the place where it is asked for lasts.
    this.identity = endpoint.moving === undefined ? facts.runId || undefined : endpoint.label
    this.trace = trace
    this.makeReader = () =>
      new RedisKeyReader(endpoint, {
        ferrite: facts.ferrite,
        sliceLimit: Number(options['slice-limit']),
        trace,
        digest: { fieldExpiry: true },
        signal: context.signal,
      })
    this.relativeExpiry = facts.major < 7
    if (capture === 'psync' && options.capture === 'auto')
      this.byKeys = () => RedisSource.open({ ...context, options: { ...options, capture: 'notifications' } })
    const settings = wantedSettings(options, facts)
    this.capabilities = capabilitiesOf(capture, facts)
    this.description = descriptionOf(capture, facts, settings)
    this.shards = [
      capture === 'psync'
        ? psyncShard(context, endpoint, facts, settings, trace)
        : scanShard(context, capture, {
            reader: this.makeReader,
            feed: (signal) => notificationFeed(context, endpoint, facts, signal),
            lasting: endpoint.moving === undefined,
          }),
    ]
  }

  /** @throws MigrateError when the source cannot be reached or does not allow what was asked for */
  static async open(context: AdapterContext): Promise<RedisSource> {
    const endpoint = parseEndpoint(context.url, context.options)
    try {
      return await RedisSource.ask(context, endpoint)
    } catch (error) {
      endpoint.moving?.close()
      throw error
    }
  }

  private static async ask(context: AdapterContext, endpoint: Endpoint): Promise<RedisSource> {
    const link = await RedisLink.open(endpoint, null, undefined, context.signal)
    link.hurryAfter(context.signal)
    try {
      const facts = await examineSource(link)
      const wanted = String(context.options.capture)
      if (wanted === 'psync' && facts.psyncRefusal !== '')
        throw new MigrateError(
          'FM_PSYNC_REFUSED',
          `${endpoint.label} refuses PSYNC: ${facts.psyncRefusal}`,
          'Use --capture notifications, or give the user the rights listed in docs/permissions.md.',
        )
      // A Ferrite sends no events, so its keys are compared again and again.
      const lesser: Capture = facts.ferrite || wanted === 'polling' ? 'polling' : 'notifications'
      const capture =
        wanted === 'notifications' || wanted === 'polling'
          ? (wanted as Capture)
          : facts.psyncRefusal === ''
            ? 'psync'
            : lesser
      return new RedisSource(context, endpoint, facts, capture)
    } catch (error) {
      throw error instanceof ReplyError ? handshakeError(endpoint, error.message) : error
    } finally {
      link.close()
    }
  }

  /** Its keys are those of some slots only. */
  get isClusterNode(): boolean {
    return this.facts.cluster
  }

  async keysOf(commands: readonly (readonly Buffer[])[]): Promise<readonly (readonly Buffer[] | null)[]> {
    const link = await RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
    try {
      const replies = await link.pipeline((out) => {
        for (const argv of commands) out.call('COMMAND', 'GETKEYS', ...argv)
        return commands.length
      })
      return replies.map((reply) => (Array.isArray(reply) ? reply.filter((key) => Buffer.isBuffer(key)) : null))
    } finally {
      link.close()
    }
  }

  async preflight(): Promise<readonly Finding[]> {
    return [
      ...sourceFindings(this.facts, this.capture, this.chained),
      ...(await primaryFinding('source', this.endpoint)),
    ]
  }

  reader(): KeyReader {
    return this.makeReader()
  }

  async fence(kind: 'auto' | FenceKind, check: boolean): Promise<Fence> {
    const { facts } = this
    if (facts.ferrite)
      throw new MigrateError(
        'FM_FENCE_UNAVAILABLE',
        'a Ferrite accepts CLIENT PAUSE and does not pause',
        'Stop the writers yourself and give --fence none.',
      )
    const [shard] = this.shards
    const { moving } = this.endpoint
    const moves = moving?.moves
    // What is put up at one server is taken down at that one.
    const endpoint = await asItIsNow(this.endpoint)
    return putUpFence(
      {
        label: endpoint.label,
        moved: () => moving?.moves !== moves,
        // Without a trace: the answers hold the hashes of passwords.
        open: () => RedisLink.open({ ...endpoint, db: 0 }),
        ledger: this.ledger,
        server: facts.runId,
        position: shard instanceof PsyncShard ? (offset) => new Map([[shard.id, shard.positionAt(offset)]]) : null,
      },
      kind,
      check,
    )
  }

  async putBack(what: string, former: string): Promise<void> {
    const link = await RedisLink.open({ ...this.endpoint, db: 0 })
    try {
      if (what === 'acl') await putBackAcl(link, parseUsers(former))
      else if (what.startsWith('config ')) await link.call('CONFIG', 'SET', what.slice('config '.length), former)
    } catch (error) {
      throw error instanceof ReplyError ? handshakeError(this.endpoint, error.message) : error
    } finally {
      link.close()
    }
  }

  async sees(db: number, key: Buffer): Promise<boolean> {
    const link = await RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
    try {
      const [there] = await link.pipeline((out) => {
        out.call('EXISTS', key)
        return 1
      }, db)
      // A user who may not see the key does not read from where it was written.
      return there === 1
    } finally {
      link.close()
    }
  }

  async survey(): Promise<SourceSurvey> {
    const link = await RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
    try {
      return await surveySource(link)
    } finally {
      link.close()
    }
  }

  async load(): Promise<{ cpu: number | null; latencyMs: number }> {
    if (this.meter === null) {
      const meter = RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
      this.meter = meter
      const forget = (): void => {
        if (this.meter === meter) this.meter = null
      }
      meter.then((link) => link.closed.then(forget), forget)
    }
    const link = await this.meter
    const askedAt = performance.now()
    await link.call('PING')
    const latencyMs = performance.now() - askedAt
    const info = await readInfo(link, 'cpu')
    const seconds = Number(info.get('used_cpu_sys')) + Number(info.get('used_cpu_user'))
    const at = Date.now()
    const former = this.lastCpu
    this.lastCpu = Number.isFinite(seconds) ? { seconds, at } : null
    const cpu =
      former !== null && this.lastCpu !== null && at > former.at
        ? ((seconds - former.seconds) * 1000) / (at - former.at)
        : null
    return { cpu, latencyMs }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Readers and scans close their own connections.
    await this.meter?.then(
      (link) => link.close(),
      () => undefined,
    )
    for (const shard of this.shards) if (shard instanceof PsyncShard) await shard.close()
    this.endpoint.moving?.close()
  }
}
