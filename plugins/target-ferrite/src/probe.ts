import { MigrateError } from '@ferrite-migrate/contracts'
import { parseDump, type Reply, ReplyError, writeRestorePayload } from '@ferrite-migrate/protocol'
import { parseInfo, type RedisLink } from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'
import { HOUR, isNear, ProbeKeys, textOf } from './probe-keys.js'
import { HYPER_LOG_LOG, sampleBodies, TYPE_NAMES } from './probe-samples.js'
import { proveDatabase } from './prove-database.js'

/**
 * Finds out what a server does by writing probe keys, reading them back and deleting them. Nothing is concluded from a
 * version or from an OK.
 * @param slot of the node of a cluster that is asked: the keys are in it
 */
export async function probeTarget(link: RedisLink, migration?: string, slot?: number): Promise<Abilities> {
  const keys = new ProbeKeys(link, migration, slot)
  try {
    return {
      product: await readProduct(link),
      ...(await probeRestore(keys)),
      setPxat: await probePxat(keys),
      ttlSurvivesWrites: await probeTtl(keys),
      pushOrder: await probePushOrder(keys),
      ...(await probeTransactions(keys)),
      ...(await probeStreams(keys)),
      fieldExpiry: await probeFieldExpiry(keys),
      hyperLogLog: await probeHyperLogLog(keys),
      commands: await readCommands(keys),
    }
  } finally {
    await keys.remove()
  }
}

async function readProduct(link: RedisLink): Promise<string> {
  const info = parseInfo(textOf(await link.call('INFO').catch(() => '')))
  if (info.has('ferrite_version')) return `Ferrite ${info.get('ferrite_version')}`
  if (info.get('server_name') === 'valkey') return `Valkey ${info.get('valkey_version')}`
  return `Redis ${info.get('redis_version') ?? 'unknown'}`
}

type RestoreAbilities = Pick<Abilities, 'rendering' | 'rdbVersion' | 'rdbTypes' | 'absoluteRestore'>

/** Whether DUMP and RESTORE are those of Redis, Ferrite's own, or none, and what they take. */
async function probeRestore(keys: ProbeKeys): Promise<RestoreAbilities> {
  const [set, dump] = await keys.ask(['SET', keys.key('a'), 'hello'], ['DUMP', keys.key('a')])
  if (set instanceof ReplyError) throw set
  const none: RestoreAbilities = { rendering: 'typed', rdbVersion: 0, rdbTypes: new Set(), absoluteRestore: false }
  if (!Buffer.isBuffer(dump)) return none
  let rdbVersion = 0
  try {
    rdbVersion = parseDump(dump).rdbVersion
    if (!(await restores(keys, dump))) return { ...none, rdbVersion }
  } catch {
    return {
      ...none,
      rdbVersion,
      rendering: (await restores(keys, Buffer.from('\0hello'))) ? 'ferrite-restore' : 'typed',
    }
  }
  return {
    rendering: 'restore',
    rdbVersion,
    rdbTypes: await probeRdbTypes(keys, rdbVersion),
    absoluteRestore: await probeAbsoluteRestore(keys, dump),
  }
}

/** True when RESTORE makes the string hello of a payload. */
async function restores(keys: ProbeKeys, payload: Buffer): Promise<boolean> {
  await keys.ask(['RESTORE', keys.key('b'), '0', payload, 'REPLACE'])
  const [back] = await keys.ask(['GET', keys.key('b')])
  return textOf(back) === 'hello'
}

async function probeRdbTypes(keys: ProbeKeys, rdbVersion: number): Promise<Set<number>> {
  const rdbTypes = new Set<number>([0])
  for (const [type, body] of sampleBodies()) {
    const name = keys.key(`t${type}`)
    const [restored, kind] = await keys.link.pipeline((out) => {
      out.command(4)
      out.text('RESTORE')
      out.text(name)
      out.text('0')
      writeRestorePayload(out, type, body, 0, body.length, rdbVersion)
      out.call('TYPE', name)
      return 2
    })
    if (!(restored instanceof ReplyError) && textOf(kind) === TYPE_NAMES[type]) rdbTypes.add(type)
  }
  // 25 needs a whole listpack of three; whoever knows 24 knows it.
  if (rdbTypes.has(24)) rdbTypes.add(25)
  return rdbTypes
}

async function probeAbsoluteRestore(keys: ProbeKeys, dump: Buffer): Promise<boolean> {
  await keys.ask(['RESTORE', keys.key('c'), Date.now() + HOUR, dump, 'REPLACE', 'ABSTTL'])
  const [left] = await keys.ask(['PTTL', keys.key('c')])
  return isNear(left, HOUR)
}

async function probePxat(keys: ProbeKeys): Promise<boolean> {
  await keys.ask(['SET', keys.key('d'), 'x', 'PXAT', Date.now() + HOUR])
  const [left] = await keys.ask(['PTTL', keys.key('d')])
  return isNear(left, HOUR)
}

const TTL_CASES: readonly (readonly [name: string, command: string, ...rest: string[]])[] = [
  ['hash', 'HSET', 'f', '1'],
  ['list', 'RPUSH', 'f'],
  ['set', 'SADD', 'f'],
  ['number', 'INCR'],
]

/** Whether a write to a part of a value leaves its time to live alone. */
async function probeTtl(keys: ProbeKeys): Promise<boolean> {
  let survives = true
  for (const [name, command, ...rest] of TTL_CASES) {
    const replies = await keys.ask(
      [command, keys.key(name), ...rest],
      ['PEXPIRE', keys.key(name), HOUR],
      [command, keys.key(name), ...rest.map((word) => `${word}2`)],
      ['PTTL', keys.key(name)],
    )
    if (!isNear(replies[3], HOUR)) survives = false
  }
  return survives
}

async function probePushOrder(keys: ProbeKeys): Promise<boolean> {
  const [, order] = await keys.ask(['LPUSH', keys.key('push'), 'a', 'b', 'c'], ['LRANGE', keys.key('push'), '0', '-1'])
  return Array.isArray(order) && order.map(textOf).join('') === 'cba'
}

/** All or nothing: a command that cannot be queued must keep the others from running. */
async function probeTransactions(keys: ProbeKeys): Promise<Pick<Abilities, 'databases' | 'atomicMulti'>> {
  await keys.ask(['MULTI'], ['SET', keys.key('m1'), '1'], ['NOSUCHCOMMAND'], ['EXEC'])
  await keys.ask(['DISCARD'])
  const [aborted] = await keys.ask(['EXISTS', keys.key('m1')])
  const databases = await proveDatabase(keys.link, keys.key('db1'), 1).then(
    () => true,
    (error: unknown) => {
      if (error instanceof MigrateError && !error.retryable) return false
      throw error
    },
  )
  await keys.link.select(0)
  const selects = !databases || (await probeSelect(keys))
  return { databases, atomicMulti: aborted === 0 && selects }
}

/** Whether SELECT inside MULTI counts for what stands behind it. */
async function probeSelect(keys: ProbeKeys): Promise<boolean> {
  const inOne = keys.key('m2')
  const inZero = keys.key('m3')
  await keys.ask(['MULTI'], ['SELECT', '1'], ['SET', inOne, '1'], ['SELECT', '0'], ['SET', inZero, '1'], ['EXEC'])
  const [here, also] = await keys.ask(['EXISTS', inOne], ['EXISTS', inZero])
  await keys.link.pipeline((out) => {
    out.call('DEL', inOne)
    return 1
  }, 1)
  await keys.link.select(0)
  return here === 0 && also === 1
}

async function probeStreams(
  keys: ProbeKeys,
): Promise<Pick<Abilities, 'xsetid' | 'xsetidCounters' | 'entriesRead' | 'createConsumer'>> {
  const key = keys.key('s')
  await keys.ask(['XADD', key, '5-1', 'f', 'v'])
  const [, afterSetId] = await keys.ask(['XSETID', key, '9-9'], ['XINFO', 'STREAM', key])
  const [, afterCounters] = await keys.ask(
    ['XSETID', key, '10-1', 'ENTRIESADDED', '7', 'MAXDELETEDID', '4-4'],
    ['XINFO', 'STREAM', key],
  )
  const [, afterGroup] = await keys.ask(
    ['XGROUP', 'CREATE', key, 'g', '5-1', 'ENTRIESREAD', '3'],
    ['XINFO', 'GROUPS', key],
  )
  const [, consumer] = await keys.ask(['XGROUP', 'CREATE', key, 'h', '0'], ['XGROUP', 'CREATECONSUMER', key, 'h', 'c'])
  return {
    xsetid: fieldOf(afterSetId, 'last-generated-id') === '9-9',
    xsetidCounters: fieldOf(afterCounters, 'entries-added') === '7',
    entriesRead: fieldOf(afterGroup, 'entries-read') === '3',
    createConsumer: !(consumer instanceof ReplyError),
  }
}

/** A field of a reply to XINFO, or of the first of several; empty when it is not there. */
function fieldOf(reply: Reply, name: string): string {
  const list = Array.isArray(reply) ? (Array.isArray(reply[0]) ? reply[0] : reply) : []
  const at = list.findIndex((entry) => textOf(entry) === name)
  return at < 0 ? '' : textOf(list[at + 1])
}

async function probeFieldExpiry(keys: ProbeKeys): Promise<boolean> {
  const key = keys.key('fx')
  await keys.ask(['HSET', key, 'f', 'v'])
  const [, left] = await keys.ask(
    ['HPEXPIREAT', key, Date.now() + HOUR, 'FIELDS', '1', 'f'],
    ['HPTTL', key, 'FIELDS', '1', 'f'],
  )
  return Array.isArray(left) && isNear(left[0], HOUR)
}

async function probeHyperLogLog(keys: ProbeKeys): Promise<boolean> {
  const key = keys.key('hll')
  await keys.ask(['SET', key, HYPER_LOG_LOG])
  const [count, got] = await keys.ask(['PFCOUNT', key], ['GET', key])
  return typeof count === 'number' && Buffer.isBuffer(got)
}

async function readCommands(keys: ProbeKeys): Promise<Abilities['commands']> {
  const [list] = await keys.ask(['COMMAND'])
  const names = Array.isArray(list)
    ? list.map((entry) => (Array.isArray(entry) ? textOf(entry[0]).toUpperCase() : '')).filter((name) => name !== '')
    : []
  return names.length > 20 ? new Set(names) : null
}
