import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Source } from '@ferrite-migrate/contracts'
import { type FoundPlugin, Registry, silentLogger } from '@ferrite-migrate/core'
import { parseEndpoint, RedisLink, readInfo } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const plugin: FoundPlugin = {
  name: 'source-redis',
  root,
  packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>,
}
const registry = new Registry([plugin])
const VALUE = 'compressible '.repeat(100)
const KEYS = 10_000

let server: TestServer
let admin: RedisLink
let logged: string[] = []
beforeEach(async () => {
  server = await TestServer.start({ args: ['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'] })
  admin = await RedisLink.open(parseEndpoint(server.url))
  logged = []
})
afterEach(async () => {
  admin.close()
  await server.stop()
})

function open(options: Record<string, string> = {}, url = server.url): Promise<Source> {
  return registry.source(
    url,
    options,
    {},
    {
      logger: { ...silentLogger, log: (level, message) => logged.push(`${level}: ${message}`) },
      signal: new AbortController().signal,
      tempDir: mkdtempSync(join(tmpdir(), 'fm-snapshot-')),
    },
  )
}

/** On a busy machine even this one may seem far. */
async function openNear(): Promise<Source> {
  for (let attempt = 0; ; attempt++) {
    // Without the wait nobody could see the setting.
    const source = await open({ 'snapshot-delay': 'keep' })
    if (source.description.compression !== undefined || attempt === 50) return source
    await source[Symbol.asyncDispose]()
  }
}

async function fill(): Promise<void> {
  for (let from = 0; from < KEYS; from += 1000)
    await admin.pipeline((out) => {
      for (let i = from; i < from + 1000; i++) out.call('SET', `k:${i}`, VALUE)
      return 1000
    })
}

/** Reads a whole snapshot; gives the number of keys. */
async function snapshot(source: Source): Promise<number> {
  let keys = 0
  const signal = new AbortController().signal
  for await (const event of source.shards[0].read({ changes: false, signal }))
    if (event.kind === 'snapshot') keys += event.records.length
  return keys
}

const compression = async (): Promise<string> =>
  String(((await admin.call('CONFIG', 'GET', 'rdbcompression')) as Buffer[])[1])
const settings = async (): Promise<number> =>
  Number(/calls=(\d+)/.exec((await readInfo(admin, 'commandstats')).get('cmdstat_config|set') ?? '')?.[1] ?? 0)
const sent = async (): Promise<number> => Number((await readInfo(admin, 'stats')).get('total_net_repl_output_bytes'))

describe('compression of the snapshot', () => {
  it('is off for a near source, and on again as soon as the snapshot has begun', async () => {
    await fill()
    const source = await openNear()
    expect(source.description.compression).toContain('off until the snapshot has begun')
    expect(await snapshot(source)).toBe(KEYS)
    expect(await sent()).toBeGreaterThan(KEYS * VALUE.length)
    expect([await compression(), await settings()]).toEqual(['yes', 2])
    await source[Symbol.asyncDispose]()
  })

  it('stays as it is where that is asked for', async () => {
    await fill()
    const source = await open({ 'snapshot-compression': 'keep' })
    expect(source.description.compression).toBeUndefined()
    expect(await snapshot(source)).toBe(KEYS)
    expect(await sent()).toBeLessThan((KEYS * VALUE.length) / 4)
    expect([await compression(), await settings()]).toEqual(['yes', 0])
    await source[Symbol.asyncDispose]()
  })

  it.each([
    ['rdbcompression', 'no', 'no'],
    ['repl-diskless-sync', 'no', 'yes'],
  ])('stays as it is where %s is "%s"', async (name, value, after) => {
    await admin.call('CONFIG', 'SET', name, value)
    await admin.call('CONFIG', 'RESETSTAT')
    const source = await open()
    await snapshot(source)
    expect([await compression(), await settings()]).toEqual([after, 0])
    await source[Symbol.asyncDispose]()
  })

  it('stays on where the user may not switch it off; the snapshot comes all the same', async () => {
    await fill()
    await admin.call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@all', '-config|set')
    const source = await open({}, server.url.replace('://', '://reader:secret@'))
    expect(await snapshot(source)).toBe(KEYS)
    expect(await compression()).toBe('yes')
    expect(logged.join('\n')).toMatch(/info: the snapshot stays compressed: .*permissions/)
    await source[Symbol.asyncDispose]()
  })

  it.each([
    ['stop', (stop: AbortController) => stop.abort()],
    ['lost link', () => admin.call('CLIENT', 'KILL', 'TYPE', 'replica')],
  ])('is on again after a %s before the snapshot has begun', async (_, end) => {
    await admin.call('CONFIG', 'SET', 'repl-diskless-sync-delay', '600')
    const source = await openNear()
    const stop = new AbortController()
    const reading = (async () => {
      for await (const _ of source.shards[0].read({ changes: true, signal: stop.signal }));
    })().catch((error: unknown) => error)
    await until(async () => (await compression()) === 'no', 'rdbcompression was "no"')
    await sleep(100)
    await end(stop)
    await reading
    expect(await compression()).toBe('yes')
    await source[Symbol.asyncDispose]()
  })
})
