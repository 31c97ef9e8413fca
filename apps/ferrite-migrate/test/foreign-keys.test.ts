import { isDeepStrictEqual } from 'node:util'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { type TestServer, until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

let source: TestServer
let target: TestServer
const tools: Tool[] = []
beforeEach(async () => {
  source = await start({ args: ['--repl-backlog-size', '64mb'] })
  target = await start()
  await at(source, 'SET both hello', 'SET a 1', 'HSET hash a 1')
  await at(
    target,
    'SET cnt 500',
    'SET s mine',
    'HSET h zz 1',
    'RPUSH l old',
    'SET both mine',
    'HSET hash zz 1',
    'SET own 1',
  )
})
afterEach(async () => {
  for (const tool of tools.splice(0)) await tool.kill()
})

async function at(server: TestServer, ...lines: string[]): Promise<void> {
  for (const line of lines) await command(server.url, ...line.split(' '))
}
async function value(server: TestServer, key: string): Promise<string> {
  const type = String(await command(server.url, 'TYPE', key))
  const read = { string: ['GET', key], hash: ['HGETALL', key], list: ['LRANGE', key, '0', '-1'], none: ['GET', key] }[
    type
  ]
  return String(await command(server.url, ...(read ?? [])))
}
const values = async (server: TestServer): Promise<Record<string, string>> => {
  const names = ['cnt', 's', 'h', 'l', 'both', 'hash', 'own', 'a']
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await value(server, name)] as const)))
}

/** What builds upon values that only one end has. */
const CHANGES = [
  'INCR cnt',
  'APPEND s X',
  'HSET h b 2',
  'RPUSH l new',
  'INCR cnt',
  'APPEND both !',
  'HSET hash b 2',
  'INCR a',
]
const MINE = { cnt: '500', s: 'mine', h: 'zz,1', l: 'old', both: 'mine', hash: 'zz,1', own: '1' }

async function live(policy: string, url: string, ...args: string[]): Promise<{ tool: Tool; state: string[] }> {
  const state = ['--state-dir', stateDir()]
  const tool = new Tool([
    ...['migrate', '--id', 'f', '-s', source.url, '-t', url, '-m', 'live', '--on-conflict', policy, ...state],
    ...args,
  ])
  tools.push(tool)
  await tool.says('LIVE_SYNC')
  return { tool, state }
}

describe.each(['replay', 'state'] as const)('keys that the target had before, by %s', (apply) => {
  let url: string
  beforeEach(async () => {
    url = target.url
    if (apply === 'replay') return
    const emulator = await FerriteEmulator.start(parseEndpoint(target.url))
    stops.push(() => emulator.stop())
    url = emulator.url
  })

  it('are replaced as a whole: no value is made of both', async () => {
    const { tool } = await live('replace', url)
    await at(source, ...CHANGES, 'SET end 1')
    await until(async () => (await value(target, 'end')) === '1', 'the last change')
    const here = await values(source)
    // Keys that only the target had are read again beside the stream: no value may ever be of both, and in the end all are the source's.
    let there = await values(target)
    await until(async () => {
      for (const name of ['h', 'l', 's', 'cnt'] as const) expect([MINE[name], here[name]]).toContain(there[name])
      if (isDeepStrictEqual({ ...there, own: '' }, { ...here, own: '' })) return true
      there = await values(target)
      return false
    }, 'the values of the source')
    expect({ ...there, own: '' }).toEqual({ ...here, own: '' })
    expect(there.own).toBe('1')
    tool.child.kill('SIGTERM')
    expect(await tool.over).toBe(130)
  })

  it('stay as they are under skip, in the copy, live, after a stop and when the source is emptied', async () => {
    const { tool, state } = await live('skip', url)
    await at(source, ...CHANGES.slice(0, 5))
    await at(source, 'SET end 1')
    await until(async () => (await value(target, 'end')) === '1', 'the last change')
    tool.child.kill('SIGTERM')
    expect(await tool.over).toBe(130)
    await at(source, ...CHANGES.slice(5), 'SET end 2')
    const again = new Tool(['migrate', '--resume', 'f', ...state])
    tools.push(again)
    await until(async () => (await value(target, 'end')) === '2', 'the last change after the stop')
    expect(await values(target)).toEqual({ ...MINE, a: '2' })
    await at(source, 'FLUSHALL', 'SET end 3')
    await until(async () => (await value(target, 'end')) === '3', 'what came after the flush')
    await until(async () => (await value(target, 'a')) !== '2', 'the flush')
    expect(await values(target)).toEqual({ ...MINE, a: 'null' })
    again.child.kill('SIGTERM')
    expect(await again.over).toBe(130)
  })

  it('end the run under fail, in the copy or when a change comes to one', async () => {
    const args = ['-s', source.url, '-t', url, '--on-conflict', 'fail', '--state-dir', stateDir()]
    const copy = await cli(['migrate', '-m', 'live', ...args])
    expect([copy.code, copy.output]).toEqual([1, expect.stringContaining('FM_TARGET_CONFLICT')])
    await at(source, 'DEL both hash')
    await at(target, 'DEL a')
    const { tool } = await live('fail', url)
    await at(source, 'INCR cnt')
    expect(await tool.over).toBe(1)
    expect(tool.output).toContain('FM_TARGET_CONFLICT')
    expect(await value(target, 'cnt')).toBe('500')
  })
})
