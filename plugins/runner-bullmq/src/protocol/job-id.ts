import { createHash } from 'node:crypto'
import type { ShardJobData } from '../connection/bull.js'
import { WHOLE } from '../connection/run-keys.js'

/** The name of a job: there is one for each shard in each round. */
export function jobId(id: string, round: string, shard: string): string {
  return `${id}.${round}.${shardName(shard)}`
}

export function shortDigest(text: string): string {
  return createHash('sha1').update(text).digest('hex').slice(0, 16)
}

/** The job of a shard, as it is put into the queue: one that is there already stays as it is. */
export function shardJob(data: ShardJobData): { name: string; data: ShardJobData; opts: { jobId: string } } {
  return { name: 'shard', data, opts: { jobId: jobId(data.migration, data.round, data.shard) } }
}

/** A shard as part of names: of connections, temporary keys, jobs. */
export function shardName(shard: string): string {
  return /^[A-Za-z0-9._-]{1,64}$/.test(shard) || shard === WHOLE ? shard : shortDigest(shard)
}
