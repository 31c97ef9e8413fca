import { setTimeout as sleep } from 'node:timers/promises'
import type { Lag } from '@ferrite-migrate/contracts'
import type { Redis } from 'ioredis'
import type { JobQueue, ShardJobData } from '../connection/bull.js'
import { type RunKeys, WHOLE } from '../connection/run-keys.js'
import { shardJob, shortDigest } from '../protocol/job-id.js'
import { CHANGE_CONTROL, type Control, controlFields, readControl } from '../protocol/told.js'

/** How long the former workers of single shards are waited for by one that has all of them. */
const OTHERS_MS = 10_000
const LOOK_MS = 100
/** Slots that are at rest for so long are read apart again, ms. */
const REST_MS = 20_000

const SAID: Record<Control['grouping'], string> = {
  whole: 'slots of the source move between its shards: one worker reads all of them until they are at rest',
  apart: 'the slots of the source are at rest: each shard is read by a worker of its own again',
}

/** The round in which shards are dealt out otherwise: whoever asks comes to the same. */
function nextRound({ round }: Pick<Control, 'round'>, grouping: Control['grouping']): string {
  return shortDigest(`${round} ${grouping}`)
}

/** How the shards of a migration are dealt out: one job each, or one job for all of them while slots move from one to another. */
export class Grouping {
  private readonly link: Redis
  private readonly keys: RunKeys
  private readonly jobs: Pick<JobQueue, 'addBulk' | 'getActive'>
  private readonly data: ShardJobData
  private restingSince: number | null = null

  /** @param data of the job that this worker has */
  constructor(link: Redis, keys: RunKeys, jobs: Pick<JobQueue, 'addBulk' | 'getActive'>, data: ShardJobData) {
    this.link = link
    this.keys = keys
    this.jobs = jobs
    this.data = data
  }

  /** Jobs of former rounds, and of the other grouping, are left over. */
  isOfNow({ round, grouping }: Control): boolean {
    return round === this.data.round && (grouping === 'whole') === (this.data.shard === WHOLE)
  }

  /**
   * Jobs are there before the record tells of them, so that none is missing where whoever makes them is lost in between: who takes one
   * of them first tells of them. Gives the record as it is then, or null for a job of a former round.
   */
  async announce(control: Control): Promise<Control | null> {
    const { shard, round } = this.data
    const grouping = shard === WHOLE ? 'whole' : 'apart'
    if (nextRound(control, grouping) !== round) return null
    const { link, keys } = this
    const version = await link.eval(CHANGE_CONTROL, 2, keys.control, keys.orders, ...controlFields({ grouping, round }))
    return { ...control, grouping, round, version: Number(version) }
  }

  /** Workers of single shards write what they have read first. */
  async awaitOthers(): Promise<void> {
    const { migration, round } = this.data
    for (const deadline = Date.now() + OTHERS_MS; Date.now() < deadline; await sleep(LOOK_MS)) {
      const active = await this.jobs.getActive()
      if (!active.some(({ data }) => data.migration === migration && data.round !== round)) return
    }
  }

  /** True once nothing has been on its way between shards for a while. @param lags of all of them */
  isAtRest(lags: readonly (readonly [string, Lag | null])[]): boolean {
    const rests = lags.length > 0 && lags.every(([, lag]) => lag?.keys !== undefined && (lag.unsettled ?? 0) === 0)
    this.restingSince = rests ? (this.restingSince ?? Date.now()) : null
    return this.restingSince !== null && Date.now() - this.restingSince >= REST_MS
  }

  /**
   * Makes the jobs anew; those of before end by themselves. Gives it in words, or null where somebody has done so already.
   * @param shards what is dealt out
   */
  async change(grouping: Control['grouping'], shards: readonly string[]): Promise<string | null> {
    const { link, keys, jobs } = this
    const { migration, round } = this.data
    const now = readControl(await link.hgetall(keys.control))
    if (now === null || now.round !== round || now.grouping === grouping || now.ending !== '') return null
    // Whoever else comes to the same end makes the same jobs.
    const next = nextRound(now, grouping)
    const wanted = grouping === 'whole' ? [WHOLE] : shards
    await jobs.addBulk(wanted.map((shard) => shardJob({ migration, shard, round: next })))
    await link.eval(CHANGE_CONTROL, 2, keys.control, keys.orders, ...controlFields({ grouping, round: next }))
    return SAID[grouping]
  }
}
