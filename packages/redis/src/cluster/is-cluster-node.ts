import type { Endpoint } from '../endpoint.js'
import { readInfo, refuseSentinel } from '../info.js'
import { RedisLink } from '../link.js'

/**
 * Whether a server is a node of a cluster. Ferrite answers CLUSTER commands and is none: what INFO says counts.
 * @throws MigrateError FM_CONNECT_*, FM_AUTH_*; FM_URL_INVALID for a sentinel, which is no end
 */
export async function isClusterNode(endpoint: Endpoint, signal?: AbortSignal): Promise<boolean> {
  if (endpoint.path !== undefined) return false
  const link = await RedisLink.open({ ...endpoint, db: 0 }, null, undefined, signal)
  link.hurryAfter(signal)
  try {
    const info = await readInfo(link).catch(() => new Map<string, string>())
    refuseSentinel(endpoint, info)
    return info.get('cluster_enabled') === '1'
  } finally {
    link.close()
  }
}
