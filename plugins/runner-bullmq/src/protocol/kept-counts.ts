import type { ShardEvent } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'

type Counts = Extract<ShardEvent, { kind: 'counted' }>['counts']

/** Keeps what a worker has counted since it took a shard. */
export function keepCounts(link: Redis, keys: RunKeys, shard: string, epoch: number, counts: Counts): Promise<number> {
  // Which keys were not carried is told once, and only to whoever hears it.
  return link.hset(keys.counts, `${shard} ${epoch}`, JSON.stringify({ ...counts, uncarried: [] } satisfies Counts))
}

/** What all workers have counted, each since it took a shard, oldest first. */
export async function keptCounts(link: Redis, keys: RunKeys): Promise<Counts[]> {
  const epochOf = (field: string): number => Number(field.slice(field.lastIndexOf(' ')))
  return Object.entries(await link.hgetall(keys.counts))
    .sort(([a], [b]) => epochOf(a) - epochOf(b))
    .map(([, text]) => JSON.parse(text) as Counts)
}
