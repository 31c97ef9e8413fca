import { randomBytes } from 'node:crypto'
import { MigrateError } from '@ferrite-migrate/contracts'
import {
  parseDump,
  type Reply,
  ReplyError,
  type RespWriter,
  type TypedAbilities,
  writeRestorePayload,
} from '@ferrite-migrate/protocol'
import { parseInfo, type RedisLink, temporaryPrefix } from '@ferrite-migrate/redis'
import { proveDatabase } from './prove-database.js'

/** What the probes found out about a target, in the terms of the code that writes to it. */
export interface Abilities extends TypedAbilities {
  readonly product: string
  readonly rendering: 'restore' | 'ferrite-restore' | 'typed'
  /** Version written into RESTORE footers. */
  readonly rdbVersion: number
  /** RDB types that RESTORE takes and that then read back as their type. */
  readonly rdbTypes: ReadonlySet<number>
  readonly absoluteRestore: boolean
  readonly setPxat: boolean
  /** MULTI runs all or nothing, in the databases that SELECT chose inside it. */
  readonly atomicMulti: boolean
  readonly ttlSurvivesWrites: boolean
  readonly pushOrder: boolean
  readonly hyperLogLog: boolean
  readonly databases: boolean
  /** Upper-case names; null = the target does not say. */
  readonly commands: ReadonlySet<string> | null
}

/** Tiny values of each RDB type: what an element is does not matter, only that the type is known. */
function sampleBodies(): Map<number, Buffer> {
  const string = (blob: Buffer): Buffer => Buffer.concat([Buffer.from([blob.length]), blob])
  const pack = (...elements: string[]): Buffer => {
    const parts = elements.map((text) =>
      Buffer.concat([Buffer.from([0x80 | text.length]), Buffer.from(text), Buffer.from([text.length + 1])]),
    )
    const body = Buffer.concat(parts)
    const head = Buffer.alloc(6)
    head.writeUInt32LE(body.length + 7, 0)
    head.writeUInt16LE(elements.length, 4)
    return string(Buffer.concat([head, body, Buffer.from([255])]))
  }
  const zip = (...elements: string[]): Buffer => {
    const parts: Buffer[] = []
    let previous = 0
    let tail = 10
    for (const [i, text] of elements.entries()) {
      if (i > 0) tail += previous
      parts.push(Buffer.concat([Buffer.from([previous, text.length]), Buffer.from(text)]))
      previous = text.length + 2
    }
    const head = Buffer.alloc(10)
    const body = Buffer.concat(parts)
    head.writeUInt32LE(body.length + 11, 0)
    head.writeUInt32LE(tail, 4)
    head.writeUInt16LE(elements.length, 8)
    return string(Buffer.concat([head, body, Buffer.from([255])]))
  }
  const text = (value: string): Buffer => string(Buffer.from(value))
  const join = (...parts: (Buffer | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)))
  const double = Buffer.alloc(8)
  double.writeDoubleLE(1)
  const soon = Buffer.alloc(8)
  soon.writeBigInt64LE(4_102_444_800_000n)
  const intset = Buffer.from('02000000010000000700', 'hex')
  return new Map<number, Buffer>([
    [1, join([1], text('a'))],
    [2, join([1], text('a'))],
    [3, join([1], text('a'), [1, 0x31])],
    [4, join([1], text('a'), text('b'))],
    [5, join([1], text('a'), double)],
    [9, string(Buffer.from([1, 1, 0x61, 1, 0, 0x62, 255]))],
    [10, zip('a')],
    [11, string(intset)],
    [12, zip('a', '1')],
    [13, zip('a', 'b')],
    [14, join([1], zip('a'))],
    // Streams without entries: no nodes, length 0, last id 0-1, no groups.
    [15, Buffer.from([0, 0, 0, 1, 0])],
    [16, pack('a', 'b')],
    [17, pack('a', '1')],
    [18, join([1, 2], pack('a'))],
    [19, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0])],
    [20, pack('a')],
    [21, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0])],
    [22, join([1], text('a'), text('b'), soon)],
    [24, join(soon, [1, 1], text('a'), text('b'))],
    [25, join(soon, string(Buffer.alloc(0)))],
    // The same as 21, with limits of producers and none of them.
    [26, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0x40, 0x64, 0x40, 0x64, 0, 0, 0])],
  ])
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'list',
  2: 'set',
  3: 'zset',
  4: 'hash',
  5: 'zset',
  9: 'hash',
  10: 'list',
  11: 'set',
  12: 'zset',
  13: 'hash',
  14: 'list',
  15: 'stream',
  16: 'hash',
  17: 'zset',
  18: 'list',
  19: 'stream',
  20: 'set',
  21: 'stream',
  22: 'hash',
  24: 'hash',
  26: 'stream',
}

const HOUR = 3_600_000
const HLL = Buffer.concat([
  Buffer.from('HYLL'),
  Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]),
  Buffer.from([0x7f, 0xff]),
])

/**
 * Finds out what a server does by writing probe keys, reading them back and deleting them. Nothing is concluded from a
 * version or from an OK. Probe keys are called `__ferrite_migrate__:tmp:<id>:probe:…` and live for the probe only.
 */
export async function probeTarget(link: RedisLink, migration?: string): Promise<Abilities> {
  const stem = `${temporaryPrefix(migration)}probe:${randomBytes(6).toString('hex')}:`
  const used = new Set<string>()
  const key = (name: string): string => {
    used.add(stem + name)
    return stem + name
  }
  const ask = async (...commands: (Buffer | string | number)[][]): Promise<Reply[]> =>
    link.pipeline((out) => {
      for (const command of commands) out.call(...command)
      return commands.length
    })
  const raw = (build: (out: RespWriter) => number): Promise<Reply[]> => link.pipeline(build)
  const text = (reply: Reply): string => (Buffer.isBuffer(reply) ? reply.toString('latin1') : String(reply))
  const near = (reply: Reply, ms: number): boolean => typeof reply === 'number' && Math.abs(reply - ms) < 60_000

  try {
    const info = parseInfo(text(await link.call('INFO').catch(() => '')))
    const product = info.has('ferrite_version')
      ? `Ferrite ${info.get('ferrite_version')}`
      : info.get('server_name') === 'valkey'
        ? `Valkey ${info.get('valkey_version')}`
        : `Redis ${info.get('redis_version') ?? 'unknown'}`

    const [set, dump] = await ask(['SET', key('a'), 'hello'], ['DUMP', key('a')])
    if (set instanceof ReplyError) throw set
    let rendering: Abilities['rendering'] = 'typed'
    let rdbVersion = 0
    if (Buffer.isBuffer(dump)) {
      try {
        rdbVersion = parseDump(dump).rdbVersion
        await ask(['RESTORE', key('b'), '0', dump, 'REPLACE'])
        const [back] = await ask(['GET', key('b')])
        if (text(back) === 'hello') rendering = 'restore'
      } catch {
        await ask(['RESTORE', key('b'), '0', Buffer.from('\0hello'), 'REPLACE'])
        const [back] = await ask(['GET', key('b')])
        if (text(back) === 'hello') rendering = 'ferrite-restore'
      }
    }
    const rdbTypes = new Set<number>()
    let absoluteRestore = false
    if (rendering === 'restore') {
      rdbTypes.add(0)
      for (const [type, body] of sampleBodies()) {
        const name = key(`t${type}`)
        const [restored, kind] = await raw((out) => {
          out.command(4)
          out.text('RESTORE')
          out.text(name)
          out.text('0')
          writeRestorePayload(out, type, body, 0, body.length, rdbVersion)
          out.call('TYPE', name)
          return 2
        })
        if (!(restored instanceof ReplyError) && text(kind) === TYPE_NAMES[type]) rdbTypes.add(type)
      }
      // 25 needs a whole listpack of three; whoever knows 24 knows it.
      if (rdbTypes.has(24)) rdbTypes.add(25)
      await ask(['RESTORE', key('c'), Date.now() + HOUR, dump as Buffer, 'REPLACE', 'ABSTTL'])
      const [left] = await ask(['PTTL', key('c')])
      absoluteRestore = near(left, HOUR)
    }

    await ask(['SET', key('d'), 'x', 'PXAT', Date.now() + HOUR])
    const [pxat] = await ask(['PTTL', key('d')])

    const ttlCases: [string, ...string[]][] = [
      ['hash', 'HSET', 'f', '1'],
      ['list', 'RPUSH', 'f'],
      ['set', 'SADD', 'f'],
      ['number', 'INCR'],
    ]
    let ttlSurvivesWrites = true
    for (const [name, command, ...rest] of ttlCases) {
      const replies = await ask(
        [command, key(name), ...rest],
        ['PEXPIRE', key(name), HOUR],
        [command, key(name), ...rest.map((word) => `${word}2`)],
        ['PTTL', key(name)],
      )
      if (!near(replies[3], HOUR)) ttlSurvivesWrites = false
    }
    const order = await ask(['LPUSH', key('push'), 'a', 'b', 'c'], ['LRANGE', key('push'), '0', '-1'])
    const pushOrder = Array.isArray(order[1]) && order[1].map(text).join('') === 'cba'

    // All or nothing: a command that cannot be queued must keep the others from running.
    await ask(['MULTI'], ['SET', key('m1'), '1'], ['NOSUCHCOMMAND'], ['EXEC'])
    await ask(['DISCARD'])
    const [aborted] = await ask(['EXISTS', key('m1')])
    const databases = await proveDatabase(link, key('db1'), 1).then(
      () => true,
      (error: unknown) => {
        if (error instanceof MigrateError && !error.retryable) return false
        throw error
      },
    )
    await link.select(0)
    let selects = true
    if (databases) {
      await ask(['MULTI'], ['SELECT', '1'], ['SET', key('m2'), '1'], ['SELECT', '0'], ['SET', key('m3'), '1'], ['EXEC'])
      const [here, also] = await ask(['EXISTS', key('m2')], ['EXISTS', key('m3')])
      selects = here === 0 && also === 1
      const inOne = key('m2')
      await link.pipeline((out) => {
        out.call('DEL', inOne)
        return 1
      }, 1)
      await link.select(0)
    }
    const atomicMulti = aborted === 0 && selects

    await ask(['XADD', key('s'), '5-1', 'f', 'v'])
    const [, afterSetId] = await ask(['XSETID', key('s'), '9-9'], ['XINFO', 'STREAM', key('s')])
    const [, afterCounters] = await ask(
      ['XSETID', key('s'), '10-1', 'ENTRIESADDED', '7', 'MAXDELETEDID', '4-4'],
      ['XINFO', 'STREAM', key('s')],
    )
    const [, afterGroup] = await ask(
      ['XGROUP', 'CREATE', key('s'), 'g', '5-1', 'ENTRIESREAD', '3'],
      ['XINFO', 'GROUPS', key('s')],
    )
    const [consumer] = await ask(
      ['XGROUP', 'CREATE', key('s'), 'h', '0'],
      ['XGROUP', 'CREATECONSUMER', key('s'), 'h', 'c'],
    ).then((replies) => replies.slice(1))
    const field = (reply: Reply, name: string): string => {
      const list = Array.isArray(reply) ? (Array.isArray(reply[0]) ? reply[0] : reply) : []
      const at = list.findIndex((entry) => text(entry) === name)
      return at < 0 ? '' : text(list[at + 1])
    }
    await ask(['HSET', key('fx'), 'f', 'v'])
    const [, fieldTtl] = await ask(
      ['HPEXPIREAT', key('fx'), Date.now() + HOUR, 'FIELDS', '1', 'f'],
      ['HPTTL', key('fx'), 'FIELDS', '1', 'f'],
    )

    await ask(['SET', key('hll'), HLL])
    const [count, got] = await ask(['PFCOUNT', key('hll')], ['GET', key('hll')])
    const hyperLogLog = typeof count === 'number' && Buffer.isBuffer(got)

    const [list] = await ask(['COMMAND'])
    const names = Array.isArray(list)
      ? list.map((entry) => (Array.isArray(entry) ? text(entry[0]).toUpperCase() : '')).filter((name) => name !== '')
      : []
    return {
      product,
      rendering,
      rdbVersion,
      rdbTypes,
      absoluteRestore,
      setPxat: near(pxat, HOUR),
      atomicMulti,
      ttlSurvivesWrites,
      pushOrder,
      hyperLogLog,
      databases,
      xsetid: field(afterSetId, 'last-generated-id') === '9-9',
      xsetidCounters: field(afterCounters, 'entries-added') === '7',
      entriesRead: field(afterGroup, 'entries-read') === '3',
      createConsumer: !(consumer instanceof ReplyError),
      fieldExpiry: Array.isArray(fieldTtl) && near(fieldTtl[0], HOUR),
      commands: names.length > 20 ? new Set(names) : null,
    }
  } finally {
    await ask(...[...used].map((name) => ['DEL', name])).catch(() => undefined)
  }
}
