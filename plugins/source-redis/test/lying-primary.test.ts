import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Source } from '@ferrite-migrate/contracts'
import { Registry, silentLogger } from '@ferrite-migrate/core'
import { Crc64 } from '@ferrite-migrate/protocol'
import { CommandServer } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const registry = new Registry([
  {
    name: 'source-redis',
    root,
    packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>,
  },
])
const REPLID = 'a'.repeat(40)
const MARK = 'm'.repeat(40)
const OFFSET = 100
const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const command = (...words: string[]): string => `*${words.length}\r\n${words.map(bulk).join('')}`

function checksum(body: Buffer): Buffer {
  const bytes = Buffer.alloc(8)
  new Crc64().update(body).write(bytes, 0)
  return bytes
}

/** Three strings in a snapshot of version 10. */
const BODY = Buffer.concat([
  Buffer.from('REDIS0010\xfe\x00', 'latin1'),
  ...['k0', 'k1', 'k2'].map((key) => Buffer.from(`\x00\x02${key}\x01v`, 'latin1')),
  Buffer.from([0xff]),
])
const SNAPSHOT = Buffer.concat([BODY, checksum(BODY)])
const damaged = (at: number): Buffer => {
  const copy = Buffer.from(SNAPSHOT)
  copy[at] ^= 0x10
  return copy
}

const servers: CommandServer[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.stop()
})

/** A primary that answers what is asked, and PSYNC with these bytes; null behind them = it closes the connection. */
async function primary(psync: (attempt: number) => readonly (Buffer | string | null)[]): Promise<Source> {
  const info = `redis_version:7.0.0\r\nrun_id:${REPLID}\r\nrole:master\r\nmaster_repl_offset:${OFFSET}\r\ndb0:keys=3,expires=0\r\n`
  let attempts = 0
  const server = await CommandServer.start(async (words, session) => {
    switch (String(words[0]).toUpperCase()) {
      case 'PSYNC':
        session.socket.write(`+FULLRESYNC ${REPLID} ${OFFSET}\r\n`)
        for (const part of psync(attempts++)) {
          if (part === null) session.socket.destroy()
          else session.socket.write(part)
        }
        return null
      case 'PING':
        return '+PONG\r\n'
      case 'INFO':
        return bulk(info)
      case 'TIME':
        return command(String(Math.floor(Date.now() / 1000)), '0')
      case 'DBSIZE':
        return ':3\r\n'
      case 'CONFIG':
      case 'MODULE':
        return '*0\r\n'
      case 'COMMAND':
        return '*1\r\n*6\r\n$5\r\npsync\r\n:-3\r\n*0\r\n:0\r\n:0\r\n:0\r\n'
      case 'REPLCONF':
        return String(words[1]).toUpperCase() === 'ACK' ? null : '+OK\r\n'
      default:
        return '+OK\r\n'
    }
  })
  servers.push(server)
  return registry.source(
    server.url,
    { 'sync-timeout': '2s' },
    {},
    {
      logger: silentLogger,
      signal: new AbortController().signal,
      tempDir: mkdtempSync(join(tmpdir(), 'fm-lying-')),
    },
  )
}

/** Reads to the end of the snapshot, or to the first command behind it; gives the keys and names seen. */
async function read(source: Source, changes: boolean): Promise<{ keys: string[]; commands: string[]; ended: boolean }> {
  const seen = { keys: [] as string[], commands: [] as string[], ended: false }
  for await (const event of source.shards[0].read({ changes, signal: new AbortController().signal })) {
    if (event.kind === 'snapshot') seen.keys.push(...event.records.map(({ key }) => String(key)))
    if (event.kind === 'snapshot-end') seen.ended = true
    if (event.kind === 'changes' && event.records.length > 0) {
      seen.commands.push(...event.records.map(({ name, db }) => `${name}@${db}`))
      break
    }
  }
  return seen
}

const announced = (bytes: number): string => `$${bytes}\r\n`

describe('a primary', () => {
  it('that tells the truth is read', async () => {
    await using source = await primary(() => [
      announced(SNAPSHOT.length),
      SNAPSHOT,
      command('SELECT', '3'),
      command('SET', 'a', '1'),
    ])
    expect(await read(source, true)).toEqual({ keys: ['k0', 'k1', 'k2'], commands: ['SET@3'], ended: true })
  })

  it('that tells the truth with a mark is read', async () => {
    await using source = await primary(() => [`$EOF:${MARK}\r\n`, SNAPSHOT, MARK, command('SET', 'a', '1')])
    expect(await read(source, true)).toMatchObject({ keys: ['k0', 'k1', 'k2'], commands: ['SET@0'], ended: true })
  })

  it.each([
    ['a wrong checksum', [announced(SNAPSHOT.length), damaged(SNAPSHOT.length - 1)]],
    ['a wrong byte of a value', [announced(SNAPSHOT.length), damaged(15)]],
    ['a wrong mark', [`$EOF:${MARK}\r\n`, SNAPSHOT, 'x'.repeat(40)]],
    ['bytes behind the end that were announced', [announced(SNAPSHOT.length + 300), SNAPSHOT, 'z'.repeat(300)]],
  ] as [string, (Buffer | string)[]][])('that sends %s is told, in either mode', async (_name, parts) => {
    for (const changes of [false, true]) {
      await using source = await primary(() => parts)
      await expect(read(source, changes), String(changes)).rejects.toMatchObject({
        code: expect.stringMatching(/^FM_RDB_(CORRUPT|CHECKSUM)$/),
      })
    }
  })

  it('that breaks its snapshot off again and again is given up with what happened', async () => {
    let attempts = 0
    await using source = await primary((attempt) => {
      attempts = attempt + 1
      return [announced(SNAPSHOT.length), SNAPSHOT.subarray(0, 20), null]
    })
    await expect(read(source, false)).rejects.toMatchObject({ code: 'FM_SNAPSHOT_CUT' })
    // Each try is a fork at the source: they become rare.
    expect(attempts).toBeLessThan(5)
  })

  it('that breaks its snapshot off once is asked again', async () => {
    await using source = await primary((attempt) =>
      attempt === 0
        ? [announced(SNAPSHOT.length), SNAPSHOT.subarray(0, 20), null]
        : [announced(SNAPSHOT.length), SNAPSHOT],
    )
    expect(await read(source, false)).toMatchObject({ keys: ['k0', 'k1', 'k2'], ended: true })
  })

  it.each(['-1', '1x', '99999999999', ''])('that selects the database "%s" is not followed', async (db) => {
    await using source = await primary(() => [
      announced(SNAPSHOT.length),
      SNAPSHOT,
      command('SELECT', db),
      command('SET', 'stray', '1'),
    ])
    await expect(read(source, true)).rejects.toMatchObject({ code: expect.stringMatching(/^FM_/) })
  })
})
