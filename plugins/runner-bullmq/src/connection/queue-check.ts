import { createHash } from 'node:crypto'
import type { Finding } from '@ferrite-migrate/contracts'
import type { Redis } from 'ioredis'

/** What the server of the queue says of itself. */
interface ServerFacts {
  readonly runId: string
  readonly port: string
  readonly cluster: boolean
  readonly policy: string | null
  readonly appendOnly: boolean
}

async function examine(link: Redis): Promise<ServerFacts> {
  const info = await link.info()
  const of = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1].trim() ?? ''
  return {
    runId: of('run_id'),
    port: of('tcp_port'),
    cluster: of('redis_mode') === 'cluster',
    policy: of('maxmemory_policy') || null,
    appendOnly: of('aof_enabled') === '1',
  }
}

/**
 * What keeps a server from being a queue: it may forget what it was told, or it is one of those that are migrated.
 * @param addresses of source and target, as `host:port` where they are known
 * @param identities what source and target say who they are
 */
export async function queueFindings(
  link: Redis,
  label: string,
  ends: { readonly source: readonly string[]; readonly target: readonly string[] },
): Promise<Finding[]> {
  const { policy, cluster, appendOnly, runId } = await examine(link)
  const findings: Finding[] = []
  const fail = (code: string, text: string): void => void findings.push({ level: 'fail', code, text })
  if (cluster)
    fail('FM_QUEUE_CLUSTER', `the queue ${label} is a node of a cluster: use one server, with a replica beside it`)
  if (policy === null)
    fail('FM_QUEUE_EVICTS', `the queue ${label} does not say what it does when its memory is full (INFO memory)`)
  else if (policy !== 'noeviction')
    fail(
      'FM_QUEUE_EVICTS',
      `the queue ${label} may forget jobs when its memory is full (maxmemory-policy ${policy}): set it to noeviction`,
    )
  for (const end of ['source', 'target'] as const)
    if (runId !== '' && ends[end].includes(runId))
      fail('FM_QUEUE_SAME', `the queue ${label} is the server of the ${end}: it needs one of its own`)
  if (!appendOnly)
    findings.push({
      level: 'info',
      code: 'queue-memory',
      text: `the queue ${label} keeps nothing over a restart (appendonly no): the migration would have to be resumed then`,
    })
  return findings
}

/** A short name for the queue, by which this machine keeps its copy of what is shared. */
export function queueFolder(label: string, prefix: string): string {
  return `queue-${createHash('sha256').update(`${label} ${prefix}`).digest('hex').slice(0, 12)}`
}
