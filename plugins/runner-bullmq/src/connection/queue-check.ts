import { createHash, randomUUID } from 'node:crypto'
import type { Finding, Source, Target } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'

/** How long a key stays that nobody could remove, ms. */
const PLANTED_MS = 60_000

function refusal(code: string, text: string): Finding {
  return { level: 'fail', code, text }
}

/** What keeps a server from being a queue, as it says of itself: it may forget what it was told. */
export async function queueFindings(
  link: Redis,
  label: string,
  { journal, undoLimit }: Pick<ResolvedConfig, 'journal' | 'undoLimit'> = { journal: 'local', undoLimit: 0 },
): Promise<Finding[]> {
  const info = await link.info()
  const of = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1].trim() ?? ''
  const findings: Finding[] = []
  const policy = of('maxmemory_policy')
  if (of('redis_mode') === 'cluster')
    findings.push(
      refusal(
        'FM_QUEUE_CLUSTER',
        `the queue ${label} is a node of a cluster: use one server, with a replica beside it`,
      ),
    )
  if (policy === '')
    findings.push(
      refusal('FM_QUEUE_EVICTS', `the queue ${label} does not say what it does when its memory is full (INFO memory)`),
    )
  else if (policy !== 'noeviction')
    findings.push(
      refusal(
        'FM_QUEUE_EVICTS',
        `the queue ${label} may forget jobs when its memory is full (maxmemory-policy ${policy}): set it to noeviction`,
      ),
    )
  const isShared = journal === 'shared'
  const memory = Number(of('maxmemory'))
  if (isShared && memory > 0 && undoLimit > memory / 2)
    findings.push({
      level: 'warn',
      code: 'queue-journal',
      text: `the undo journal may take ${undoLimit} bytes of the memory of the queue ${label}, which has ${memory}, and without which no worker goes on: give a smaller --undo-limit`,
    })
  if (of('aof_enabled') !== '1')
    findings.push({
      level: isShared ? 'warn' : 'info',
      code: 'queue-memory',
      text: `the queue ${label} keeps nothing over a restart (appendonly no): the migration would have to be resumed then${isShared ? ', and its undo journal would be lost' : ''}`,
    })
  return findings
}

/** Whether the queue is one of the ends, whatever they are called: a key that is written to it is looked for there. */
export async function sameAsQueue(
  link: Redis,
  address: { readonly label: string; readonly prefix: string; readonly db: number },
  source: Pick<Source, 'sees'>,
  target: Pick<Target, 'reader'>,
): Promise<Finding[]> {
  const { label, prefix, db } = address
  const key = `${prefix}:probe:${randomUUID()}`
  const reader = target.reader()
  await link.set(key, '1', 'PX', PLANTED_MS)
  try {
    const inSource = (await source.sees?.(db, Buffer.from(key))) ?? false
    const [inTarget] = await reader.exist(db, [Buffer.from(key)])
    return [...(inSource ? ['source'] : []), ...(inTarget ? ['target'] : [])].map((end) =>
      refusal('FM_QUEUE_SAME', `the queue ${label} is the server of the ${end}: it needs one of its own`),
    )
  } finally {
    await link.del(key)
    await reader.close()
  }
}

/** A short name for the queue, by which this machine keeps its copy of what is shared. */
export function queueFolder(label: string, prefix: string): string {
  return `queue-${createHash('sha256').update(`${label} ${prefix}`).digest('hex').slice(0, 12)}`
}
