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
  handshakeError,
  parseEndpoint,
  parseRunning,
  primaryFinding,
  RedisKeyReader,
  RedisLink,
  RUNNING_KEY,
  runningEntry,
  temporaryPrefix,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'
import { decodeCheckpoint } from './checkpoint.js'
import { Lane } from './lane.js'
import { serverIdentity } from './lane-connection.js'
import { targetFindings } from './preflight.js'
import { probeTarget } from './probe.js'
import { proveDatabase } from './prove-database.js'
import type { UnsupportedPolicy } from './rendered-batch.js'
import { RequestLimits } from './request-limits.js'
import { endConnections, removeTemporary } from './take-over.js'
import { classify, refusalError } from './target-error.js'

/** A migration that has not written its sign of life for so long does not run, ms. */
const RUNNING_MS = 60_000

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
  private claimed: ({ readonly migration: string } & RunClaim) | null = null
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
    this.dialect = describe(able)
    this.limits = limits
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
        admit: (link) => this.admit(link),
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
    this.runId = await serverIdentity(await this.controlLink())
  }

  async claim(migration: string, claim: RunClaim): Promise<void> {
    const now = Date.now()
    const entries = await this.inFirstDb('HGETALL', RUNNING_KEY)
    const list = Array.isArray(entries) ? entries : []
    for (let i = 0; i + 1 < list.length; i += 2) {
      const [id, since] = [String(list[i]), parseRunning(String(list[i + 1]))]
      if (since === null || since.until <= now || since.owner === claim.owner || since.owner === claim.former) continue
      if (id === migration)
        throw new MigrateError(
          'FM_ID_TAKEN',
          `a process that this state directory does not know runs the migration ${id} into ${this.endpoint.label}`,
          'Look for it on other machines and in other state directories. Where it has died, wait a minute, or choose another --id.',
        )
      if (claim.copies !== undefined && since.copies === claim.copies)
        throw new MigrateError(
          'FM_TARGET_TAKEN',
          `the migration ${id} brings the same changes from the same source to ${this.endpoint.label} now: each would be made twice`,
          'Stop one of the two. Where it has died, go on with it by --resume, or wait a minute.',
        )
    }
    this.claimed = { migration, ...claim }
    await this.note()
  }

  async beat(): Promise<void> {
    if (this.claimed === null) return
    await this.admit(await this.controlLink())
    await this.note()
  }

  private async note(): Promise<void> {
    if (this.claimed === null) return
    const { migration, epoch, owner, copies } = this.claimed
    const until = Date.now() + RUNNING_MS
    await this.inFirstDb('HSET', RUNNING_KEY, migration, runningEntry({ epoch, owner, until, copies }))
  }

  async release(migration: string): Promise<void> {
    if (this.claimed === null) return
    this.claimed = null
    await this.inFirstDb('HDEL', RUNNING_KEY, migration)
  }

  /** Whoever opens a connection may have stood still for long: is it still its turn? */
  private async admit(link: RedisLink): Promise<void> {
    if (this.claimed === null) return
    const { migration, owner } = this.claimed
    const found = await link.call('HGET', RUNNING_KEY, migration)
    // A target that was emptied knows no owner; the state of the migration has been asked by then.
    const since = Buffer.isBuffer(found) ? parseRunning(found.toString('latin1')) : null
    if (since !== null && since.owner !== owner)
      throw new MigrateError(
        'FM_RUN_TAKEN',
        `another process has taken the migration ${migration} over`,
        'Nothing more is written here; status shows the process that goes on.',
      )
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
    const { worker } = this.context
    const writer = writerOf({ migration, ...(worker === undefined ? {} : { worker }) }) ?? migration
    await endConnections(link, clientNameOf(writer))
    await removeTemporary(link, this.able, temporaryPrefix(writer))
  }

  async checkpoint(migration: string, shard: string): Promise<Checkpoint | undefined> {
    const value = await this.inFirstDb('GET', checkpointKey(migration, shard))
    return value === null ? undefined : decodeCheckpoint(migration, shard, String(value))
  }

  async forget(migration: string, shard: string): Promise<void> {
    await this.inFirstDb('DEL', checkpointKey(migration, shard))
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

/** The name under which a process writes: of several that share a migration each has its own below it. */
function writerOf({ migration, worker }: Pick<AdapterContext, 'migration' | 'worker'>): string | undefined {
  return migration === undefined || worker === undefined ? migration : `${migration}:${worker}`
}

/** The bounds of a request, where the server tells them. */
async function askLimits(link: RedisLink): Promise<RequestLimits> {
  const replies = await link.pipeline((out) => {
    out.call('CONFIG', 'GET', 'proto-max-bulk-len')
    out.call('CONFIG', 'GET', 'client-query-buffer-limit')
    return 2
  })
  const [bulk, query] = replies.map((reply) => {
    const value = Array.isArray(reply) ? Number(reply[1]) : Number.NaN
    return Number.isFinite(value) && value > 0 ? value : undefined
  })
  return new RequestLimits(bulk, query)
}

function describe(able: Abilities): Dialect {
  const refusals: string[] = []
  if (able.rendering !== 'restore') refusals.push("the target does not take Redis's RESTORE payloads")
  if (!able.ttlSurvivesWrites) refusals.push('writes at the target drop the expiry of a key')
  if (!able.pushOrder) refusals.push('LPUSH of several elements stores them in another order')
  if (!able.atomicMulti) refusals.push('MULTI at the target is not all or nothing')
  const yes = (flag: boolean): string => (flag ? 'yes' : 'no')
  return {
    product: able.product,
    rendering: able.rendering,
    replay: refusals.length === 0,
    replayRefusals: refusals,
    holds: { fieldExpiry: able.fieldExpiry, hyperLogLog: able.hyperLogLog, databases: able.databases },
    facts: {
      product: able.product,
      rendering: able.rendering,
      rdbVersion: able.rendering === 'restore' ? String(able.rdbVersion) : 'none',
      rdbTypes: [...able.rdbTypes].sort((a, b) => a - b).join(' ') || 'none',
      absoluteRestore: yes(able.absoluteRestore),
      setPxat: yes(able.setPxat),
      atomicMulti: yes(able.atomicMulti),
      ttlSurvivesWrites: yes(able.ttlSurvivesWrites),
      pushOrder: yes(able.pushOrder),
      xsetid: able.xsetidCounters ? 'with counters' : yes(able.xsetid),
      fieldExpiry: yes(able.fieldExpiry),
      hyperLogLog: yes(able.hyperLogLog),
      databases: yes(able.databases),
    },
  }
}
