import { counted, type Finding } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { parseInfo, parseRunning, type RedisLink, RUNNING_KEY, refuseSentinel } from '@ferrite-migrate/redis'

/** What the source is and allows, found by asking it. */
export interface SourceFacts {
  readonly product: string
  readonly version: string
  readonly major: number
  readonly ferrite: boolean
  /** Who the server is, until it is started again; empty = it does not say. */
  readonly runId: string
  readonly role: string
  readonly keys: number
  readonly usedMemory: number
  /** Why PSYNC cannot be used; empty = it can. */
  readonly psyncRefusal: string
  readonly clockSkewMs: number
  /** Shortest of a few round trips. */
  readonly roundTripMs: number
  readonly modules: readonly string[]
  readonly functions: number
  readonly config: ReadonlyMap<string, string>
  readonly cluster: boolean
  /** Migrations that write to this server now. */
  readonly written: readonly string[]
}

function pairs(reply: Reply): Map<string, string> {
  const map = new Map<string, string>()
  if (Array.isArray(reply))
    for (let i = 0; i + 1 < reply.length; i += 2) map.set(String(reply[i]), String(reply[i + 1]))
  return map
}

const SETTINGS = [
  'cluster-databases',
  'client-output-buffer-limit',
  'repl-backlog-size',
  'maxmemory-policy',
  'repl-timeout',
  'notify-keyspace-events',
  'rdbcompression',
  'repl-diskless-sync',
  'repl-diskless-sync-delay',
  'repl-ping-replica-period',
]

const PINGS = 5
/** A source within this round trip stands in the same room: bytes are cheaper there than packing them. */
const NEAR_MS = 1

/** Asks the source what it is; writes nothing. */
export async function examineSource(link: RedisLink): Promise<SourceFacts> {
  const sentAt = Date.now()
  const replies = await link.pipeline((out) => {
    out.call('INFO')
    out.call('TIME')
    out.call('COMMAND', 'INFO', 'PSYNC')
    out.call('REPLCONF', 'capa', 'psync2')
    out.call('MODULE', 'LIST')
    out.call('FUNCTION', 'STATS')
    out.call('ACL', 'WHOAMI')
    for (const name of SETTINGS) out.call('CONFIG', 'GET', name)
    out.call('HGETALL', RUNNING_KEY)
    return 8 + SETTINGS.length
  })
  const [infoReply, time, psync, replconf, modules, functions, user] = replies
  if (infoReply instanceof ReplyError) throw infoReply
  const info = parseInfo(String(infoReply))
  const ferrite = info.has('ferrite_version')
  const valkey = info.get('server_name') === 'valkey'
  const version =
    (ferrite ? info.get('ferrite_version') : valkey ? info.get('valkey_version') : info.get('redis_version')) ??
    'unknown'
  const now = (sentAt + Date.now()) / 2
  const clockSkewMs = Array.isArray(time) ? Math.round(Number(time[0]) * 1000 + Number(time[1]) / 1000 - now) : 0

  let psyncRefusal = ''
  if (Array.isArray(psync) && (psync.length === 0 || psync[0] === null)) psyncRefusal = 'the server does not know PSYNC'
  else if (replconf instanceof ReplyError && /NOPERM|unknown command/i.test(replconf.message))
    psyncRefusal = replconf.message.slice(0, 120)
  else if (ferrite) psyncRefusal = 'Ferrite accepts PSYNC and then sends nothing'
  else if (!(user instanceof ReplyError) && user !== null) {
    const [dry] = await link.pipeline((out) => {
      out.call('ACL', 'DRYRUN', String(user), 'PSYNC', '?', '-1')
      return 1
    })
    if (!(dry instanceof ReplyError) && String(dry) !== 'OK') psyncRefusal = String(dry).slice(0, 160)
  }
  refuseSentinel(link.endpoint, info)
  let keys = 0
  for (const [name, value] of info) if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0)
  const config = new Map<string, string>()
  for (const reply of replies.slice(7, 7 + SETTINGS.length))
    for (const [name, value] of pairs(reply)) config.set(name, value)
  return {
    product: ferrite ? 'Ferrite' : valkey ? 'Valkey' : 'Redis',
    version,
    major: Number.parseInt(info.get('redis_version') ?? '0', 10),
    ferrite,
    role: info.get('role') ?? 'unknown',
    runId: info.get('run_id') ?? '',
    keys,
    usedMemory: Number(info.get('used_memory') ?? 0),
    psyncRefusal,
    clockSkewMs,
    roundTripMs: await shortestRoundTrip(link),
    modules: Array.isArray(modules)
      ? modules.map((entry) => pairs(entry).get('name') ?? '?').filter((name) => name !== '?')
      : [],
    functions: Array.isArray(functions) ? countFunctions(functions) : 0,
    config,
    cluster: info.get('cluster_enabled') === '1',
    written: [...pairs(replies.at(-1) ?? null)]
      .filter(([, text]) => (parseRunning(text)?.until ?? 0) > Date.now())
      .map(([id]) => id),
  }
}

async function shortestRoundTrip(link: RedisLink): Promise<number> {
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < PINGS && shortest >= NEAR_MS; i++) {
    const askedAt = performance.now()
    await link.call('PING').catch((error: unknown) => {
      if (!(error instanceof ReplyError)) throw error
    })
    shortest = Math.min(shortest, performance.now() - askedAt)
  }
  return shortest
}

/** Whether a snapshot had better travel uncompressed: a near source that compresses, and streams instead of writing a file. */
export function sparesCompression(facts: SourceFacts): boolean {
  return (
    facts.roundTripMs < NEAR_MS &&
    facts.config.get('rdbcompression') === 'yes' &&
    facts.config.get('repl-diskless-sync') === 'yes'
  )
}

function countFunctions(stats: Reply[]): number {
  const engines = stats[stats.findIndex((entry) => String(entry) === 'engines') + 1]
  if (!Array.isArray(engines)) return 0
  let libraries = 0
  for (let i = 1; i < engines.length; i += 2) libraries += Number(pairs(engines[i]).get('libraries_count') ?? 0)
  return libraries
}

/** What an operator should know before the run. */
export function sourceFindings(facts: SourceFacts, capture: string, chained: boolean): Finding[] {
  const findings: Finding[] = []
  const info = (code: string, text: string): number => findings.push({ level: 'info', code, text })
  const warn = (code: string, text: string): number => findings.push({ level: 'warn', code, text })
  /** What matters only while changes are followed. */
  const live = (level: 'info' | 'warn', code: string, text: string): number =>
    findings.push({ level, code, text, only: 'changes' })
  info('source', `the source is ${facts.product} ${facts.version}, ${facts.role}, ${counted(facts.keys, 'key')}`)
  if (facts.written.length > 0)
    findings.push({
      level: chained ? 'warn' : 'fail',
      code: 'FM_SOURCE_IS_TARGET',
      text: `the source is the target of the migration ${facts.written.join(', ')}, which is running: what goes forth and back goes round without end${chained ? '' : '; for a chain to a third server give --source-option chained=true'}`,
    })
  if (facts.role === 'slave')
    info('source-replica', 'the source is a replica: its primary is not burdened, and its lag adds to ours')
  if (facts.cluster) warn('source-cluster', 'the source is a cluster node: only the keys of this node are moved')
  if (facts.modules.length > 0)
    warn(
      'source-modules',
      `modules are loaded (${facts.modules.join(', ')}): their values travel only to a target with the same modules`,
    )
  if (facts.functions > 0)
    warn(
      'source-functions',
      `${counted(facts.functions, 'function library is', 'function libraries are')} at the source: ${capture === 'psync' ? 'they are loaded at the target where it takes them' : 'load them at the target yourself (FUNCTION DUMP, FUNCTION RESTORE)'}`,
    )
  const policy = facts.config.get('maxmemory-policy')
  if (policy !== undefined && policy !== 'noeviction')
    info('source-eviction', `the source may evict keys (${policy}); evictions are followed`)
  if (capture === 'psync') {
    if (facts.config.get('rdbcompression') === 'no')
      info('source-uncompressed', 'rdbcompression is "no" at the source: snapshots travel, and are saved, uncompressed')
    const backlog = Number(facts.config.get('repl-backlog-size') ?? 0)
    if (backlog > 0 && backlog < 16 << 20)
      live(
        'warn',
        'source-backlog',
        `repl-backlog-size is ${backlog >> 10} KiB: after a lost link the source may need a full resync; 64mb or more is better`,
      )
    const limit = /slave (\d+) (\d+) (\d+)/.exec(facts.config.get('client-output-buffer-limit') ?? '')
    if (limit && Number(limit[1]) > 0 && Number(limit[1]) < 256 << 20)
      warn(
        'source-output-buffer',
        `client-output-buffer-limit for replicas is ${Number(limit[1]) >> 20} MiB: a burst of writes may cut the link`,
      )
  } else if (capture === 'polling')
    live(
      'warn',
      'source-polling',
      'the source tells nobody what changes: everything is compared again at every poll-interval, and a change is seen only then',
    )
  else {
    live(
      'warn',
      'source-lossy',
      'changes are learned by keyspace notifications, which a lost connection loses: everything is then compared again',
    )
    live(
      'info',
      'source-notifications',
      `notify-keyspace-events is "${facts.config.get('notify-keyspace-events') ?? 'unknown'}"`,
    )
  }
  if (Math.abs(facts.clockSkewMs) > 1000)
    warn(
      'source-clock',
      `the clock of the source differs from this machine's by ${facts.clockSkewMs} ms; expiries are corrected by it`,
    )
  return findings
}
