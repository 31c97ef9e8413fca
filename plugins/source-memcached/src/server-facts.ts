import type { Finding } from '@ferrite-migrate/contracts'
import type { MemcachedLink } from './memcached-link.js'

/** What the servers of a source say of themselves. */
export interface ServerFacts {
  readonly versions: readonly string[]
  readonly items: number
  readonly findings: readonly Finding[]
}

const LOSSY: Finding = {
  level: 'info',
  code: 'source-lossy',
  only: 'changes',
  text: 'a Memcached tells of no deletion, touch or increment: live mode finds these by comparing dumps (poll-interval)',
}

/** Asks one server after the other. @throws MigrateError FM_CONNECT_*, FM_AUTH_* */
export async function examineServers(open: readonly (() => Promise<MemcachedLink>)[]): Promise<ServerFacts> {
  const findings: Finding[] = []
  const versions: string[] = []
  let items = 0
  for (const one of open) {
    const link = await one()
    try {
      const stats = await link.stats()
      const settings = await link.stats('settings')
      versions.push(stats.get('version') ?? '?')
      items += Number(stats.get('curr_items') ?? 0)
      findings.push(...serverFindings(link.name, stats, settings))
    } finally {
      link.close()
    }
  }
  findings.push(LOSSY)
  return { versions, items, findings }
}

function serverFindings(
  name: string,
  stats: ReadonlyMap<string, string>,
  settings: ReadonlyMap<string, string>,
): Finding[] {
  const findings: Finding[] = []
  const evictions = Number(stats.get('evictions') ?? 0)
  if (evictions > 0)
    findings.push({
      level: 'warn',
      code: 'source-evicts',
      text: `${name} has evicted ${evictions} items: it is full, and may evict others while it is read`,
    })
  if (settings.get('lru_crawler') === 'no')
    findings.push({
      level: 'warn',
      code: 'source-crawler',
      text: `${name} has its LRU crawler switched off; it is switched on to list the keys`,
    })
  return findings
}
