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

export async function noteHolder(link: Redis, keys: RunKeys, shard: string, holder: Holder): Promise<void> {
  await link.hset(keys.holders, shard, JSON.stringify(holder))
}
