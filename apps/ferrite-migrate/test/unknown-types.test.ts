import { CommandServer, until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { command, differences, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

/** A value type that no version has. */
const TYPE = 99
const REPLID = 'a'.repeat(40)

let real: Awaited<ReturnType<typeof start>>
let target: Awaited<ReturnType<typeof start>>
let source: CommandServer
const tools: Tool[] = []
beforeEach(async () => {
  real = await start()
  target = await start()
  for (const words of [
    ['SET', 'k0', 'v'],
    ['SET', 'k1', 'v', 'PX', '3600000'],
    ['HSET', 'strange', 'a', '1', 'b', '2'],
    ['RPUSH', 'plain', 'x', 'y'],
    ['XADD', 'stream', '1-1', 'f', 'v'],
  ])
    await command(real.url, ...words)
  source = await CommandServer.start(async (words, session) => {
    const name = String(words[0]).toUpperCase()
    const key = String(words[1])
    // Its snapshots hold a key, and then what nobody knows the length of.
    if (name === 'PSYNC') {
      const body = Buffer.from(
        `REDIS0019\xfe\x00\x00\x02k0\x01v${String.fromCharCode(TYPE)}\x07strange\x01\x02\x03`,
        'latin1',
      )
      session.socket.write(`+FULLRESYNC ${REPLID} 100\r\n$${body.length + 100}\r\n`)
      session.socket.write(body)
      session.socket.write(Buffer.alloc(100))
      return null
    }
    if (name === 'REPLCONF') return String(words[1]).toUpperCase() === 'ACK' ? null : '+OK\r\n'
    if (name === 'TYPE' && key === 'alien') return '+alien\r\n'
    const reply = await session.forward(words)
    if (name === 'DUMP' && ['strange', 'alien'].includes(key) && reply[0] === 36) reply[reply.indexOf(10) + 1] = TYPE
    return reply
  }, real.url)
  stops.push(async () => source.stop())
})
afterEach(async () => {
  for (const tool of tools.splice(0)) await tool.kill()
})

const state = (): string[] => ['--state-dir', stateDir()]

describe('a value type that is not known', () => {
  it('does not end a snapshot: the keys are read by their own commands', async () => {
    const { code, output } = await cli(['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', ...state()])
    expect([code, output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(output).toMatch(/unknown value type 99.*key by key/)
    expect(await differences(real.url, target.url)).toEqual([])
  })

  it('does not end a live migration, which follows by notifications and goes on so', async () => {
    const directory = state()
    const run = new Tool(['migrate', '--id', 'u', '-s', source.url, '-t', target.url, '-m', 'live', ...directory])
    tools.push(run)
    await run.says('LIVE_SYNC')
    await command(real.url, 'HSET', 'strange', 'c', '3')
    await until(async () => String(await command(target.url, 'HGET', 'strange', 'c')) === '3', 'the change')
    run.child.kill('SIGTERM')
    expect(await run.over).toBe(130)
    await command(real.url, 'HSET', 'strange', 'd', '4')
    const again = new Tool(['migrate', '--resume', 'u', ...directory])
    tools.push(again)
    await until(async () => String(await command(target.url, 'HGET', 'strange', 'd')) === '4', 'the change while away')
    again.child.kill('SIGTERM')
    expect(await again.over).toBe(130)
    expect(again.output).not.toContain('unknown value type')
    expect(await differences(real.url, target.url)).toEqual([])
  })

  it('that no command reads costs its own key, which is named', async () => {
    await command(real.url, 'SET', 'alien', 'v')
    const { code, output } = await cli(['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', ...state()])
    expect(output).toMatch(/alien/)
    expect(code).toBe(1)
    expect(String(await command(target.url, 'EXISTS', 'alien'))).toBe('0')
    expect(String(await command(target.url, 'DBSIZE'))).toBe('5')
  })

  it('ends the run where the stream alone was asked for', async () => {
    const { code, output } = await cli([
      ...['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--capture', 'psync'],
      ...state(),
    ])
    expect(code).toBe(1)
    expect(output).toContain('FM_RDB_UNKNOWN')
  })
})

describe('a command that is not known', () => {
  it('is not lost: its keys are asked for, and read again', async () => {
    const primary = await CommandServer.start(async (words, session) => {
      const [name, second] = words.map((word) => String(word).toUpperCase())
      if (name === 'PSYNC') {
        const info = String(await session.forward(['INFO', 'replication']))
        const offset = Number(/master_repl_offset:(\d+)/.exec(info)?.[1] ?? 0)
        const empty = Buffer.from('REDIS0010\xff\0\0\0\0\0\0\0\0', 'latin1')
        session.socket.write(`+FULLRESYNC ${REPLID} ${offset}\r\n$${empty.length}\r\n`)
        session.socket.write(empty)
        const said = ['NEW.WRITE', 'made', 'x']
        session.socket.write(`*3\r\n${said.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`)
        return null
      }
      if (name === 'REPLCONF') return second === 'ACK' ? null : '+OK\r\n'
      if (name === 'COMMAND' && second === 'GETKEYS') return '*1\r\n$4\r\nmade\r\n'
      return session.forward(words)
    }, real.url)
    stops.push(async () => primary.stop())
    await command(real.url, 'FLUSHALL')
    await command(real.url, 'SET', 'made', 'by the new command')
    const run = new Tool(['migrate', '-s', primary.url, '-t', target.url, '-m', 'live', ...state()])
    tools.push(run)
    await until(
      async () => String(await command(target.url, 'GET', 'made')) === 'by the new command',
      'what the command made',
    )
  })
})
