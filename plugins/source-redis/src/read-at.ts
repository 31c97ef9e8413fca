import { type DirtyKey, MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { parseDump, type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { handshakeError, movedError, parseInfo, type RedisLink } from '@ferrite-migrate/redis'

/** Values and the offset of the stream that they belong to. */
export interface OffsetRead {
  readonly records: readonly (SnapshotRecord | null)[]
  /** Indexes of keys that are on another node. */
  readonly elsewhere?: readonly number[]
  readonly offset: number
  /** What the server said of its replication in the same moment; null = it was not asked. */
  readonly info: ReadonlyMap<string, string> | null
}

const RIGHTS = 'Give the user the rights listed in docs/permissions.md.'

/** One script is one moment, whatever slots the keys lie in; -3 tells of a key that is on another node. */
const SCRIPT = `local function elsewhere(text)
  for _, sign in ipairs({'non local', 'MOVED', 'ASK ', 'TRYAGAIN', 'CLUSTERDOWN', 'cluster is down'}) do
    if string.find(text, sign, 1, true) then return true end
  end
  return false
end
local r = {}
for i = 1, #ARGV do
  local dump = redis.pcall('DUMP', ARGV[i])
  if type(dump) == 'string' then
    r[#r + 1] = dump
    r[#r + 1] = redis.call('PTTL', ARGV[i])
  elseif type(dump) == 'table' and elsewhere(dump.err or '') then
    r[#r + 1] = false
    r[#r + 1] = -3
  elseif type(dump) == 'table' then
    return dump
  else
    r[#r + 1] = false
    r[#r + 1] = -2
  end
end
r[#r + 1] = redis.call('INFO', 'replication')
r[#r + 1] = redis.call('TIME')
return r`

function refused(message: string, retryable = false): MigrateError {
  return new MigrateError('FM_SERVER_REFUSED', `the source answered: ${message.slice(0, 160)}`, RIGHTS, { retryable })
}

/** Milliseconds of an answer to TIME. */
function millisecondsOf(time: Reply): number {
  const [seconds, micros] = time as Buffer[]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

function recordOf({ db, key }: DirtyKey, dump: Reply, ttl: number, now: number): SnapshotRecord | null {
  if (!Buffer.isBuffer(dump) || ttl < -1) return null
  return { db, key, value: parseDump(dump, false), expireAt: ttl < 0 ? 0 : now + ttl }
}

/**
 * Reads keys of any database in one transaction.
 * @param told whether the server is asked for its replication as well
 * @throws MigrateError FM_SERVER_REFUSED
 */
export async function readDatabasesAt(link: RedisLink, keys: readonly DirtyKey[], told: boolean): Promise<OffsetRead> {
  const [replies] = (
    await link.pipeline((out) => {
      out.call('MULTI')
      for (const { db, key } of keys) {
        out.call('SELECT', db)
        out.call('DUMP', key)
        out.call('PTTL', key)
      }
      out.call('SELECT', link.selected)
      if (told) out.call('INFO', 'replication')
      out.call('ROLE')
      out.call('TIME')
      out.call('EXEC')
      return keys.length * 3 + (told ? 6 : 5)
    })
  ).slice(-1) as Reply[][]
  if (!Array.isArray(replies) || replies.length === 0)
    throw new MigrateError('FM_SERVER_REFUSED', 'the source did not run a transaction of reads', RIGHTS, {
      retryable: true,
    })
  const failed = replies.find((reply) => reply instanceof ReplyError)
  if (failed instanceof ReplyError) throw refused(failed.message)
  const now = millisecondsOf(replies.at(-1) ?? null)
  const role = replies.at(-2) as Reply[]
  return {
    records: keys.map((key, i) => recordOf(key, replies[i * 3 + 1], Number(replies[i * 3 + 2]), now)),
    offset: Number(String(role[0]) === 'master' ? role[1] : role[4]),
    info: told ? parseInfo(String(replies.at(-3))) : null,
  }
}

/**
 * Reads keys of any slots of a primary in one script.
 * @throws MigrateError FM_SERVER_REFUSED, FM_CONNECT_LOST when it is no primary any more
 */
export async function readSlotsAt(link: RedisLink, keys: readonly DirtyKey[]): Promise<OffsetRead> {
  const [replies] = await link.pipeline((out) => {
    out.call('EVAL', SCRIPT, 0, ...keys.map(({ key }) => key))
    return 1
  })
  if (replies instanceof ReplyError) {
    // What a script meets while the cluster is down has no code of its own.
    if (/^(BUSY|LOADING|CLUSTERDOWN)|cluster is down/.test(replies.message)) throw refused(replies.message, true)
    throw handshakeError(link.endpoint, replies.message)
  }
  if (!Array.isArray(replies)) throw refused('a script of reads gave nothing', true)
  const info = parseInfo(String(replies.at(-2)))
  const now = millisecondsOf(replies.at(-1) ?? null)
  if (info.get('role') !== 'master') {
    const error = movedError(link.endpoint.label, ': it is no primary any more')
    link.destroy(error)
    throw error
  }
  const elsewhere = [...keys.keys()].filter((i) => Number(replies[i * 2 + 1]) === -3)
  return {
    ...(elsewhere.length === 0 ? {} : { elsewhere }),
    records: keys.map((key, i) => recordOf(key, replies[i * 2], Number(replies[i * 2 + 1]), now)),
    offset: Number(info.get('master_repl_offset')),
    info,
  }
}
