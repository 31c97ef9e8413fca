import type { WorkerFacts } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { workersKey } from '../connection/run-keys.js'

/** A worker that has not said anything for so long does not live; signs come every second. */
const LIVES_MS = 4000
/** One that has not for so long is forgotten. */
const FORGOTTEN_MS = 3_600_000

/** Clocks of machines differ: the server's counts. */
const SIGN = `
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({at = now[1] * 1000 + math.floor(now[2] / 1000), facts = ARGV[2]}))
return 1`

/** Says that a worker lives, and what it does. */
export async function signOfLife(link: Redis, prefix: string, facts: Omit<WorkerFacts, 'seenAt'>): Promise<void> {
  await link.eval(SIGN, 1, workersKey(prefix), facts.name, JSON.stringify(facts))
}

/** A worker has ended. */
export async function signOff(link: Redis, prefix: string, name: string): Promise<void> {
  await link.hdel(workersKey(prefix), name)
}

/** Workers that have given a sign of life lately. @param withinMs how lately */
export async function livingWorkers(link: Redis, prefix: string, withinMs = LIVES_MS): Promise<WorkerFacts[]> {
  const [all, time] = await Promise.all([link.hgetall(workersKey(prefix)), link.time()])
  const now = Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000)
  const found: WorkerFacts[] = []
  for (const [name, text] of Object.entries(all)) {
    const { at, facts } = JSON.parse(text) as { at: number; facts: string }
    if (now - at > FORGOTTEN_MS) await link.hdel(workersKey(prefix), name)
    else if (now - at < withinMs)
      found.push({ ...(JSON.parse(facts) as Omit<WorkerFacts, 'seenAt'>), seenAt: Date.now() - (now - at) })
  }
  return found.sort((a, b) => a.name.localeCompare(b.name))
}
