import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
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
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import {
  checkpointKey,
  clientNameOf,
  type Endpoint,
  fenceKey,
  handshakeError,
  parseEndpoint,
  primaryFinding,
  RedisKeyReader,
  RedisLink,
  temporaryPrefix,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'
import { askLimits } from './ask-limits.js'
import { decodeCheckpoint } from './checkpoint.js'
import { dialectOf } from './dialect.js'
import { Lane } from './lane.js'
import { serverIdentity } from './lane-connection.js'
import { targetFindings } from './preflight.js'
import { probeTarget } from './probe.js'
import { proveDatabase } from './prove-database.js'
import type { UnsupportedPolicy } from './rendered-batch.js'
import type { RequestLimits } from './request-limits.js'
import { RunNote } from './run-note.js'
import { ShardFence, shardClaim } from './shard-fence.js'
import { endConnections, endFormer, removeTemporary } from './take-over.js'
import { classify, refusalError } from './target-error.js'
import { writerOf } from './writer-name.js'

/** Ferrite, or any server that speaks Redis, as a target. */
export class FerriteTarget implements Target {
  readonly dialect: Dialect
  readonly advisedLanes: number
  readonly database: number | undefined
  private readonly context: AdapterContext
  private readonly endpoint: Endpoint
  private readonly able: Abilities
  private runId: string
  private readonly clockSkewMs: number
  private readonly trace: WireTrace | null
  private readonly lanes = new Map<number, Lane>()
  /** Databases that were found to be there and apart from each other. */
  private readonly proven = new Map<number, Promise<void>>()
  /** Those of them that were found to be there. */
  private readonly settled = new Set<number>()
  private readonly limits: RequestLimits
  private readonly note: RunNote
  /** Null = the whole migration is written by this process. */
  private fence: ShardFence | null = null
  private control: Promise<RedisLink> | null = null

  private constructor(
    context: AdapterContext,
    endpoint: Endpoint,
    able: Abilities,
    runId: string,
    clockSkewMs: number,
    limits: RequestLimits,
  ) {
    this.context = context
    this.endpoint = endpoint
    this.able = able
    this.runId = runId
    this.clockSkewMs = clockSkewMs
    this.trace = wireTrace(context.logger, 'target')
    this.dialect = dialectOf(able)
    this.limits = limits
    this.note = new RunNote(endpoint.label, (...argv) => this.inFirstDb(...argv))
    this.database = endpoint.namesDb ? endpoint.db : undefined
    // Measured: Ferrite takes more over two connections than over four when two cores are all there is.
    this.advisedLanes = able.rendering === 'ferrite-restore' && availableParallelism() <= 2 ? 2 : 4
  }

  /** @throws MigrateError when the target cannot be reached or refuses the probes */
  static async open(context: AdapterContext): Promise<FerriteTarget> {
    const endpoint = parseEndpoint(context.url, context.options)
    try {
      return await FerriteTarget.ask(context, endpoint)
    } catch (error) {
      endpoint.moving?.close()
      throw error
    }
  }

  private static async ask(context: AdapterContext, endpoint: Endpoint): Promise<FerriteTarget> {
    const link = await RedisLink.open({ ...endpoint, db: 0 }, null, undefined, context.signal)
    link.hurryAfter(context.signal)
    try {
      const able = await probeTarget(link, writerOf(context))
      const sentAt = Date.now()
      const time = await link.call('TIME').catch(() => null)
      const now = (sentAt + Date.now()) / 2
      const skew = Array.isArray(time) ? Math.round(Number(time[0]) * 1000 + Number(time[1]) / 1000 - now) : 0
      return new FerriteTarget(context, endpoint, able, await serverIdentity(link), skew, await askLimits(link))
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error
      // What a write is refused for has a code of its own.
      throw ['fatal', 'full'].includes(classify(error.message))
        ? refusalError(endpoint, error.message)
        : handshakeError(endpoint, error.message)
    } finally {
      link.close()
    }
  }

  async preflight(): Promise<readonly Finding[]> {
    const findings = [
      ...(await targetFindings(await this.controlLink(), this.able)),
      ...(await primaryFinding('target', this.endpoint)),
      ...(await this.note.findings(this.context.migration)),
    ]
    return this.context.options['allow-eviction'] === true
      ? findings.map((one) => (one.code === 'FM_TARGET_EVICTS' ? { ...one, level: 'warn' as const } : one))
      : findings
  }

  knows(command: string): boolean {
    return this.able.commands === null || this.able.commands.has(command)
  }

  private controlLink(): Promise<RedisLink> {
    if (this.control === null) {
      const link = RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
      this.control = link
      const forget = (): void => {
        if (this.control === link) this.control = null
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return this.control
  }

  write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    let lane = this.lanes.get(batch.lane)
    if (lane === undefined) {
      lane = new Lane({
        endpoint: this.endpoint,
        migration: writerOf(this.context),
        unsupported: String(this.context.options.unsupported) as UnsupportedPolicy,
        able: this.able,
        logger: this.context.logger,
        signal: this.context.signal,
        retryMs: Number(this.context.options['sync-timeout']),
        runId: () => this.runId,
        clockSkewMs: this.clockSkewMs,
        trace: this.trace,
        limits: this.limits,
        admit: (link) => (this.fence ?? this.note).admit((...argv) => link.call(...argv)),
        prove: (db) => this.prove(db),
        isProven: (db) => db === 0 || this.settled.has(db),
        control: () => this.controlLink(),
      })
      this.lanes.set(batch.lane, lane)
    }
    return lane.write(batch, checkpoint)
  }

  /**
   * Makes sure that a database is there and is no other one: what is written into it must not be seen in database 0. The
   * answer to SELECT alone would not tell, since there are servers and proxies that say OK to anything.
   */
  private prove(db: number): Promise<void> {
    if (db === 0) return Promise.resolve()
    let proof = this.proven.get(db)
    if (proof === undefined) {
      proof = this.controlLink().then((link) =>
        proveDatabase(link, `${temporaryPrefix(writerOf(this.context))}db:${randomBytes(6).toString('hex')}`, db),
      )
      this.proven.set(db, proof)
      proof.then(
        () => this.proven.get(db) === proof && this.settled.add(db),
        () => this.proven.delete(db),
      )
    }
    return proof
  }

  async refusesDatabase(db: number): Promise<string | null> {
    try {
      await this.prove(db)
      return null
    } catch (error) {
      if (error instanceof MigrateError && !error.retryable) return error.message
      throw error
    }
  }

  async reconnect(): Promise<void> {
    this.proven.clear()
    this.settled.clear()
    for (const lane of this.lanes.values()) lane.close()
    this.lanes.clear()
    // What swallowed the lanes' bytes would keep this one waiting as long once more.
    void this.control?.then((link) => link.close()).catch(() => undefined)
    this.control = null
    this.runId = await serverIdentity(await this.controlLink())
  }

  async claim(migration: string, claim: RunClaim): Promise<void> {
    const forShard = shardClaim(claim)
    if (forShard === null) return this.note.claim(migration, claim)
    this.fence = new ShardFence(migration, forShard, (...argv) => this.inFirstDb(...argv))
    await this.fence.put()
  }

  beat(): Promise<void> {
    return (this.fence ?? this.note).beat()
  }

  release(migration: string): Promise<void> {
    return (this.fence ?? this.note).release(migration)
  }

  async plant(): Promise<PlantedKey> {
    const key = Buffer.from(`${temporaryPrefix(writerOf(this.context))}loop:${randomBytes(8).toString('hex')}`)
    await this.inFirstDb('SET', key, '1', 'PX', '60000')
    return {
      db: 0,
      key,
      remove: async () => {
        await this.inFirstDb('DEL', key)
      },
    }
  }

  async takeOver(migration: string): Promise<void> {
    const link = await this.controlLink()
    const { fence } = this
    if (fence !== null) {
      await endFormer(link, (name) => fence.endsConnection(name))
      // Names under construction are of one epoch each: whoever goes on need not wait until the former ones are gone.
      void this.sweepFormer(migration, fence)
      return
    }
    const { worker } = this.context
    const writer = writerOf({ migration, ...(worker === undefined ? {} : { worker }) }) ?? migration
    await endConnections(link, clientNameOf(writer))
    await removeTemporary(link, this.able, temporaryPrefix(writer))
  }

  private async sweepFormer(migration: string, fence: ShardFence): Promise<void> {
    try {
      const link = await RedisLink.open({ ...this.endpoint, db: 0 }, this.trace)
      await removeTemporary(link, this.able, temporaryPrefix(migration), (key) => fence.endsTemporary(key)).finally(
        () => link.close(),
      )
    } catch (error) {
      this.context.logger.log('warn', `values under construction of a former worker stay: ${(error as Error).message}`)
    }
  }

  async checkpoint(migration: string, shard: string): Promise<Checkpoint | undefined> {
    const value = await this.inFirstDb('GET', checkpointKey(migration, shard))
    return value === null ? undefined : decodeCheckpoint(migration, shard, String(value))
  }

  async forget(migration: string, shard: string): Promise<void> {
    await this.inFirstDb('DEL', checkpointKey(migration, shard))
    // Whoever ends the whole migration leaves nothing of its workers either.
    if (this.fence === null) await this.inFirstDb('DEL', fenceKey(migration))
  }

  async takeAside(what: string, payload: Buffer): Promise<boolean> {
    if (what !== 'function' || !this.knows('FUNCTION')) return false
    const link = await this.controlLink()
    const [reply] = await link.pipeline((out) => {
      out.call('FUNCTION', 'LOAD', 'REPLACE', payload)
      return 1
    })
    if (reply instanceof ReplyError)
      this.context.logger.log('warn', `a function library was not taken: ${reply.message.slice(0, 160)}`)
    return !(reply instanceof ReplyError)
  }

  /** Checkpoints are in database 0, whatever the control connection did before. */
  private async inFirstDb(...argv: (string | Buffer)[]): Promise<Reply> {
    const link = await this.controlLink()
    const [reply] = await link.pipeline((out) => {
      out.call(...argv)
      return 1
    }, 0)
    if (reply instanceof ReplyError) throw refusalError(this.endpoint, reply.message)
    return reply
  }

  reader(): KeyReader {
    return new RedisKeyReader(this.endpoint, {
      ferrite: this.able.rendering === 'ferrite-restore',
      digest: { fieldExpiry: this.able.fieldExpiry },
      trace: this.trace,
      signal: this.context.signal,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lane of this.lanes.values()) lane.close()
    await this.control?.then(
      (link) => link.close(),
      () => undefined,
    )
    this.endpoint.moving?.close()
  }
}
