import type { DirtyKey } from '@ferrite-migrate/contracts'
import { databaseNumber } from './database-number.js'

/**
 * What a command of a replication stream is to a migration. `write` changes keys; `flush` empties databases; `keyless`
 * changes something that is no key (functions, scripts, pub/sub); `link` belongs to the replication link itself.
 */
export type CommandKind =
  | 'write'
  | 'select'
  | 'multi'
  | 'exec'
  | 'flush'
  | 'swapdb'
  | 'keyless'
  | 'publish'
  | 'link'
  | 'unknown'

export interface CommandSpec {
  /** Upper case. */
  readonly name: string
  readonly kind: CommandKind
  /** Positions of keys as COMMAND INFO gives them: first, last (negative counts from the end), step. */
  readonly first: number
  readonly last: number
  readonly step: number
  /** For commands whose key positions depend on their arguments. */
  readonly find?: (argv: readonly Buffer[]) => number[]
  /** True when an argument is a time to live that counts from now. */
  readonly relativeExpiry?: boolean
}

const FIRST_ONLY =
  'SET SETEX PSETEX SETNX GETSET GETEX GETDEL APPEND INCR DECR INCRBY DECRBY INCRBYFLOAT SETRANGE SETBIT BITFIELD PFADD ' +
  'HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST HSETEX HGETEX HGETDEL ' +
  'LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LSET LREM LTRIM LINSERT SADD SREM SPOP ' +
  'ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX GEOADD ' +
  'XADD XDEL XTRIM XSETID XACK XCLAIM XAUTOCLAIM XACKDEL XDELEX XNACK XCFGSET XIDMPRECORD EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST RESTORE RESTORE-ASKING ' +
  'DELIFEQ DELEX DIGEST INCREX ARSET ARMSET ARINSERT ARDEL ARDELRANGE ARSEEK ARRING'
const RELATIVE = new Set([
  'SET',
  'SETEX',
  'PSETEX',
  'GETEX',
  'EXPIRE',
  'PEXPIRE',
  'HEXPIRE',
  'HPEXPIRE',
  'HSETEX',
  'HGETEX',
  'RESTORE',
])

const numbered =
  (at: number, ...before: number[]) =>
  (argv: readonly Buffer[]): number[] => {
    const count = Number(argv[at]?.toString('latin1'))
    const positions = [...before]
    for (let i = 0; i < count && at + 1 + i < argv.length; i++) positions.push(at + 1 + i)
    return positions
  }

/** The key of the first argument and those behind the words STORE and STOREDIST. */
const withStore = (argv: readonly Buffer[]): number[] => {
  const positions = [1]
  for (let i = 2; i + 1 < argv.length; i++)
    if (/^store(dist)?$/i.test(argv[i].toString('latin1'))) positions.push(i + 1)
  return positions
}

/** Streams of XREADGROUP: the first half of what follows STREAMS. */
const afterStreams = (argv: readonly Buffer[]): number[] => {
  const at = argv.findIndex((argument, i) => i > 0 && /^streams$/i.test(argument.toString('latin1')))
  const count = at < 0 ? 0 : (argv.length - at - 1) >> 1
  return Array.from({ length: count }, (_, i) => at + 1 + i)
}

const SPECS = new Map<string, CommandSpec>()

function add(names: string, kind: CommandKind, first = 0, last = 0, step = 0, find?: CommandSpec['find']): void {
  for (const name of names.split(' '))
    SPECS.set(name, {
      name,
      kind,
      first,
      last,
      step,
      ...(find ? { find } : {}),
      ...(RELATIVE.has(name) ? { relativeExpiry: true } : {}),
    })
}

add(FIRST_ONLY, 'write', 1, 1, 1)
add('DEL UNLINK PFMERGE SINTERSTORE SUNIONSTORE SDIFFSTORE TOUCH', 'write', 1, -1, 1)
add('MSET MSETNX', 'write', 1, -1, 2)
add('RENAME RENAMENX COPY SMOVE LMOVE RPOPLPUSH GEOSEARCHSTORE ZRANGESTORE LMOVEM BLMOVEM', 'write', 1, 2, 1)
add('BRPOPLPUSH BLMOVE', 'write', 1, 2, 1)
add('BLPOP BRPOP BZPOPMIN BZPOPMAX', 'write', 1, -2, 1)
add('BITOP', 'write', 2, -1, 1)
add('MOVE', 'write', 1, 1, 1)
add('XGROUP', 'write', 2, 2, 1)
add('SORT GEORADIUS GEORADIUSBYMEMBER', 'write', 0, 0, 0, withStore)
add('XREADGROUP', 'write', 0, 0, 0, afterStreams)
add('ZUNIONSTORE ZINTERSTORE ZDIFFSTORE', 'write', 0, 0, 0, numbered(2, 1))
add('EVAL EVALSHA FCALL', 'write', 0, 0, 0, numbered(2))
add('LMPOP ZMPOP', 'write', 0, 0, 0, numbered(1))
add('BLMPOP BZMPOP', 'write', 0, 0, 0, numbered(2))
add('MSETEX', 'write', 0, 0, 0, (argv) => {
  const count = Number(argv[1]?.toString('latin1'))
  return Array.from({ length: count || 0 }, (_, i) => 2 + 2 * i).filter((at) => at < argv.length)
})
add(
  'JSON.SET JSON.DEL JSON.FORGET JSON.CLEAR JSON.ARRAPPEND JSON.ARRINSERT JSON.ARRPOP JSON.ARRTRIM JSON.NUMINCRBY JSON.NUMMULTBY JSON.STRAPPEND JSON.TOGGLE JSON.MERGE BF.ADD BF.MADD BF.INSERT BF.RESERVE BF.LOADCHUNK CF.ADD CF.ADDNX CF.DEL CF.INSERT CF.INSERTNX CF.RESERVE CF.LOADCHUNK CMS.INCRBY CMS.INITBYDIM CMS.INITBYPROB TOPK.ADD TOPK.INCRBY TOPK.RESERVE TDIGEST.ADD TDIGEST.CREATE TDIGEST.RESET TS.ADD TS.CREATE TS.ALTER TS.INCRBY TS.DECRBY TS.DEL VADD VREM VSETATTR',
  'write',
  1,
  1,
  1,
)
add('JSON.MSET TS.MADD', 'write', 1, -1, 3)
add('FLUSHALL FLUSHDB', 'flush')
add('SWAPDB', 'swapdb')
add('SELECT', 'select')
add('MULTI', 'multi')
add('EXEC', 'exec')
add('PUBLISH SPUBLISH', 'publish')
add('FUNCTION SCRIPT CONFIG ACL', 'keyless')
// A node that gave slots away trims them; their keys live on elsewhere.
add('PING REPLCONF TRIMSLOTS CLUSTER', 'link')

/** A number made of the name's letters, so that the hot path looks up an integer and not a string. */
function fingerprint(data: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = start; at < end; at++) {
    const byte = data[at]
    hash = (Math.imul(hash, 31) + (byte >= 97 && byte <= 122 ? byte - 32 : byte)) | 0
  }
  return hash
}

const BY_FINGERPRINT = new Map<number, CommandSpec>()
for (const [name, spec] of SPECS) {
  const bytes = Buffer.from(name)
  const print = fingerprint(bytes, 0, bytes.length)
  if (BY_FINGERPRINT.has(print)) throw new Error(`two command names with one fingerprint: ${name}`)
  BY_FINGERPRINT.set(print, spec)
}

function sameName(spec: CommandSpec, data: Buffer, start: number, end: number): boolean {
  const name = spec.name
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) {
    const byte = data[start + i]
    if ((byte >= 97 && byte <= 122 ? byte - 32 : byte) !== name.charCodeAt(i)) return false
  }
  return true
}

/** What is known of the command with the name in data[start..end), in either case. */
export function commandSpec(data: Buffer, start: number, end: number): CommandSpec {
  const spec = BY_FINGERPRINT.get(fingerprint(data, start, end))
  if (spec !== undefined && sameName(spec, data, start, end)) return spec
  return {
    name: data.toString('latin1', start, Math.min(end, start + 128)).toUpperCase(),
    kind: 'unknown',
    first: 0,
    last: 0,
    step: 0,
  }
}

/** What is known of the command with this upper-case name. */
export function commandSpecOf(name: string): CommandSpec {
  return SPECS.get(name) ?? { name, kind: 'unknown', first: 0, last: 0, step: 0 }
}

/** Positions of the keys in `argv`. */
export function keyPositions(spec: CommandSpec, argv: readonly Buffer[]): number[] {
  if (spec.find) return spec.find(argv)
  if (spec.first === 0) return []
  const last = Math.min(spec.last < 0 ? argv.length + spec.last : spec.last, argv.length - 1)
  const positions: number[] = []
  for (let at = spec.first; at <= last; at += spec.step) positions.push(at)
  return positions
}

/** The keys a write command may change, each with its database (MOVE and COPY … DB reach into another). */
export function touchedKeys(spec: CommandSpec, argv: readonly Buffer[], db: number): DirtyKey[] {
  const keys = keyPositions(spec, argv).map((at) => ({ db, key: argv[at] }))
  if (spec.name === 'MOVE' && argv.length > 2) keys.push({ db: databaseNumber(argv[2], 'MOVE'), key: argv[1] })
  if (spec.name === 'COPY') {
    for (let i = 3; i + 1 < argv.length; i++)
      if (/^db$/i.test(argv[i].toString('latin1'))) keys[1] = { db: databaseNumber(argv[i + 1], 'COPY'), key: argv[2] }
  }
  return keys
}
