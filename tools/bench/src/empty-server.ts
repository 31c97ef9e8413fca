import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'

/** A server frees what it was told to forget for a while after its answer; the next program must not pay for it. */
const FREED_MS = 2500
const SCRATCH = '__ferrite_migrate__:bench'

/** Leaves a server empty and at rest. */
export async function emptyServer(url: string): Promise<void> {
  const link = await RedisLink.open({ ...parseEndpoint(url), connectTimeoutMs: 60_000 })
  await link.call('FLUSHALL')
  // Ferrite frees the former data when the next write comes.
  await link.call('SET', SCRATCH, '')
  await link.call('DEL', SCRATCH)
  link.close()
  await sleep(FREED_MS)
}
