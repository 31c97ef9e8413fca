import type { Logger } from '@ferrite-migrate/contracts'
import type { CopiedRun, MigrationStatus, PlainRow, StateCopy } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { RunKeys, runsKey } from '../connection/run-keys.js'
import { CarriedRequests } from './carried-requests.js'
import { type Place, sharesDirectory } from './place.js'
import { HOLD_MS, holdAge, isStale, RunHold } from './run-hold.js'
import { unfollowedStatus } from './unfollowed-status.js'
import { livingWorkers } from './worker-signs.js'

/** Samples that the queue keeps of a migration: two hours of them. */
const SAMPLES_KEPT = 7200
/** Rows that one command brings at most. */
const ROWS_AT_ONCE = 2000

/**
 * Takes what whoever holds the migration wrote, in one step; nothing when another one holds it by now.
 * KEYS: hold, copy, events, samples, runs. ARGV: hold, its ms, copy, id, createdAt, events before, events, samples (both as JSON lists).
 */
const PUSH = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], 'run', ARGV[3])
  redis.call('HINCRBY', KEYS[2], 'revision', 1)
  redis.call('ZADD', KEYS[5], ARGV[5], ARGV[4])
end
if redis.call('LLEN', KEYS[3]) == tonumber(ARGV[6]) then
  for _, event in ipairs(cjson.decode(ARGV[7])) do redis.call('RPUSH', KEYS[3], event) end
end
for _, sample in ipairs(cjson.decode(ARGV[8])) do redis.call('RPUSH', KEYS[4], sample) end
redis.call('LTRIM', KEYS[4], -${SAMPLES_KEPT}, -1)
return nil`

/** A migration that this process holds. */
interface Held {
  readonly hold: RunHold
  lastSample: number
}

/**
 * Keeps the shared directory of this machine equal to what the queue's server has: what is held here is pushed, everything else is
 * pulled, and requests are carried to whoever holds the migration.
 */
export class Mirror {
  private readonly link: Redis
  private readonly prefix: string
  private readonly copy: StateCopy
  private readonly place: Place
  private readonly logger: Logger
  private readonly held = new Map<string, Held>()
  private readonly revisions = new Map<string, string>()
  private readonly requests: CarriedRequests
  private working: Promise<void> | null = null

  constructor(link: Redis, prefix: string, copy: StateCopy, place: Place, logger: Logger) {
    this.link = link
    this.prefix = prefix
    this.copy = copy
    this.place = place
    this.logger = logger
    this.requests = new CarriedRequests(link, prefix, copy, place)
  }

  /** @throws MigrateError FM_ID_TAKEN */
  async hold(id: string): Promise<void> {
    const keys = new RunKeys(this.prefix, id)
    const hold = new RunHold(this.link, keys, this.place)
    await hold.take(id)
    // As it was left, not as it was seen last.
    this.revisions.delete(id)
    for (const put of await this.pullRun(id, 1)) put()
    this.copy.expire(id)
    this.held.set(id, { hold, lastSample: await this.lastSample(keys) })
  }

  /** Pushes what there is of it, and holds it no more. */
  async letGo(id: string): Promise<void> {
    await this.share(id)
    const held = this.held.get(id)
    this.held.delete(id)
    await held?.hold.release()
  }

  /** What there is of it now is known to all when it resolves. */
  async share(id: string): Promise<void> {
    // Two that push at once would push the same events.
    while (this.working !== null) await this.working.catch(() => undefined)
    if (!this.held.has(id)) return
    this.working = this.pushAll(id).finally(() => {
      this.working = null
    })
    await this.working
  }

  async release(): Promise<void> {
    for (const [id, { hold }] of this.held) {
      await this.pushAll(id).catch(() => undefined)
      await hold.release().catch(() => undefined)
    }
    this.held.clear()
  }

  /** One round; several at once are one. */
  sync(): Promise<void> {
    this.working ??= this.round().finally(() => {
      this.working = null
    })
    return this.working
  }

  private async round(): Promise<void> {
    for (const id of this.held.keys()) {
      await this.requests.take(id)
      await this.pushAll(id)
    }
    const pulled = await this.pull()
    // Whoever asked has the answer before he sees that a migration is over, as it is where both share a directory.
    await this.requests.carry((id) => this.held.has(id))
    for (const put of pulled) put()
  }

  private async pushAll(id: string): Promise<void> {
    await this.requests.answer(id)
    await this.push(id)
  }

  private async push(id: string): Promise<void> {
    const held = this.held.get(id)
    if (held === undefined) return
    const keys = new RunKeys(this.prefix, id)
    const run = this.copy.run(id)
    const before = await this.link.llen(keys.events)
    const events = this.copy.eventsFrom(id, before).slice(0, ROWS_AT_ONCE)
    const samples = this.copy.samplesAfter(id, held.lastSample).slice(0, ROWS_AT_ONCE)
    const other = await this.link.eval(
      PUSH,
      5,
      ...[keys.hold, keys.copy, keys.events, keys.samples, runsKey(this.prefix)],
      ...[
        held.hold.value,
        String(HOLD_MS),
        run === null ? '' : JSON.stringify(run),
        id,
        String(run?.row.created_at ?? 0),
      ],
      ...[String(before), JSON.stringify(events.map((one) => JSON.stringify(one)))],
      JSON.stringify(samples.map((one) => JSON.stringify(one))),
    )
    if (other !== null) {
      // Whoever stood still for too long finds in its own row that it is another's.
      this.held.delete(id)
      this.copy.giveAway(id, (JSON.parse(String(other)) as Place).uid)
      this.logger.log('error', `another process follows the migration ${id} by now`)
      return
    }
    held.lastSample = samples.reduce((last, { at }) => Math.max(last, Number(at)), held.lastSample)
  }

  /** Gives what is left to do when all has come. */
  private async pull(): Promise<(() => void)[]> {
    const puts: (() => void)[] = []
    const ids = await this.link.zrange(runsKey(this.prefix), '0', '-1')
    // Until another worker has taken what one has lost, nobody may live that has it.
    const living = await livingWorkers(this.link, this.prefix, HOLD_MS)
    for (const id of ids) {
      if (this.held.has(id)) continue
      const keys = new RunKeys(this.prefix, id)
      const age = await holdAge(this.link, keys)
      // Of one that was killed the last word is no news.
      const held = age === null || isStale(age) ? null : await this.link.get(keys.hold)
      // A process of this machine that holds it writes into the same directory.
      if (held !== null && sharesDirectory(JSON.parse(held) as Place, this.place)) continue
      const works = held !== null || living.some(({ migration }) => migration === id)
      puts.push(...(await this.pullRun(id, works ? Date.now() + HOLD_MS : 1, works && held === null)))
    }
    return puts
  }

  /** @param unfollowed its workers go on, and nobody writes its row */
  private async pullRun(id: string, expiresAt: number, unfollowed = false): Promise<(() => void)[]> {
    const keys = new RunKeys(this.prefix, id)
    const known = this.revisions.get(id)
    // What is alive is looked at anew now and then: how long it is known to live is part of it.
    const tick = expiresAt > 1 ? Math.floor(Date.now() / (unfollowed ? 1000 : 5000)) : 0
    const revision = `${await this.link.hget(keys.copy, 'revision')} ${tick}`
    if (known === revision) return []
    const text = await this.link.hget(keys.copy, 'run')
    if (text === null) return []
    const run = JSON.parse(text) as CopiedRun
    const status = unfollowed ? await this.statusNow(keys, run) : run.row.status
    const first = this.copy.eventCount(id)
    const events = await this.link.lrange(keys.events, first, first + ROWS_AT_ONCE - 1)
    const samples = await this.link.lrange(keys.samples, known === undefined ? -SAMPLES_KEPT : -120, -1)
    const rows = (texts: readonly string[]): PlainRow[] => texts.map((text) => JSON.parse(text) as PlainRow)
    return [
      () => {
        this.copy.putRun(id, { ...run, row: { ...run.row, status } }, expiresAt)
        this.copy.putEvents(id, first, rows(events))
        this.copy.putSamples(id, rows(samples))
        this.revisions.set(id, revision)
      },
    ]
  }

  private async statusNow(keys: RunKeys, { row }: CopiedRun): Promise<string> {
    const last = JSON.parse(String(row.status)) as MigrationStatus
    return JSON.stringify(await unfollowedStatus(this.link, keys, last))
  }

  private async lastSample(keys: RunKeys): Promise<number> {
    const [last] = await this.link.lrange(keys.samples, -1, -1)
    return last === undefined ? 0 : Number((JSON.parse(last) as PlainRow).at)
  }
}
