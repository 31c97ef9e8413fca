import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'

/** Who has a shard, or had it last. */
export interface Holder {
  readonly by: string
  readonly host: string
  readonly pid: number
  readonly epoch: number
  /** When it last was seen, ms, by its own clock. */
  readonly at: number
  /** It has given the shard back by itself. */
  readonly gaveBack: boolean
}

/** Null = nobody has had it. */
export async function readHolder(link: Redis, keys: RunKeys, shard: string): Promise<Holder | null> {
  const text = await link.hget(keys.holders, shard)
  return text === null ? null : (JSON.parse(text) as Holder)
}

/** Who took one of these last; null = nobody has had any. */
export async function lastHolder(link: Redis, keys: RunKeys, shards: readonly string[]): Promise<Holder | null> {
  const found = await Promise.all(shards.map((shard) => readHolder(link, keys, shard)))
  return found.reduce((last, one) => (one !== null && one.epoch > (last?.epoch ?? -1) ? one : last), null)
}

export async function noteHolder(link: Redis, keys: RunKeys, shard: string, holder: Holder): Promise<void> {
  await link.hset(keys.holders, shard, JSON.stringify(holder))
}
