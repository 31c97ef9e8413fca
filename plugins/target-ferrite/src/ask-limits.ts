import type { RedisLink } from '@ferrite-migrate/redis'
import { RequestLimits } from './request-limits.js'

/** The bounds of a request, where the server tells them. */
export async function askLimits(link: RedisLink): Promise<RequestLimits> {
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
