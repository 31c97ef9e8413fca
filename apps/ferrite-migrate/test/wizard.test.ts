import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memcachedMissing, TestMemcached, type TestServer, until } from '@ferrite-migrate/servers'
import { beforeEach, describe, expect, it } from 'vitest'
import { command } from './run.js'
import { start, stops } from './servers.js'
import { KEY, Terminal, terminalMissing } from './terminal.js'
import { cli } from './tool.js'

const missing = terminalMissing()
const { enter, down, space, interrupt } = KEY

let directory: string
let source: TestServer
let target: TestServer
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fm-wizard-'))
  source = await start()
  target = await start()
})

function wizard(env: NodeJS.ProcessEnv = {}): Terminal {
  const terminal = new Terminal(['wizard', '--state-dir', join(directory, 'state')], directory, env)
  stops.push(() => terminal.stop())
  return terminal
}
const ferrite = (): string => target.url.replace('redis://', 'ferrite://')

describe.skipIf(missing !== null)(`wizard${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  it("asks the page's questions in the page's words, shows the plan, writes the file, and runs", async () => {
    for (let i = 0; i < 200; i++) await command(source.url, 'SET', `user:${i}`, 'x')
    for (let i = 0; i < 400; i++) await command(source.url, 'SET', `temp:${i}`, 'x')
    const screen = wizard()
    await screen.shows('Welcome to Ferrite Migration Wizard!')
    await screen.shows('? Select source database type:')
    await screen.shows('> Redis\n  Memcached\n  RDB file\n  AOF file\n  JSON/CSV import')
    await screen.press(enter)
    await screen.answer('? Source connection string:', source.url, enter)
    await screen.shows('600 keys, answers in')
    await screen.answer('? Target Ferrite connection:', ferrite(), enter)
    await screen.shows('? Migration mode:')
    await screen.shows('> Live (zero-downtime)\n  Snapshot (point-in-time)\n  Incremental (scheduled syncs)')
    await screen.press(down, enter)
    await screen.answer('? Keys to leave out', space, enter)
    await screen.answer('? Verify ', enter)
    await screen.shows('MIGRATION PLAN')
    await screen.shows('exclude temp:*')
    await screen.shows('takes about')
    await screen.answer('? Write these answers to a file?', enter)
    await screen.answer('? File:', enter)
    await screen.shows('ferrite-migrate migrate -c migration.yaml')
    await screen.answer('? Start now?', enter)
    await screen.shows('RESULT: ✅ VERIFIED')
    expect(await screen.over).toBe(0)
    expect(await command(target.url, 'DBSIZE')).toBe(200)
    // The file is one that runs.
    await command(target.url, 'FLUSHALL')
    const again = await cli([
      'migrate',
      '-c',
      join(directory, 'migration.yaml'),
      '--state-dir',
      join(directory, 'state'),
    ])
    expect(again.code).toBe(0)
    expect(await command(target.url, 'DBSIZE')).toBe(200)
  })

  it('asks again after a wrong answer, asks for a password, and writes none down', async () => {
    await command(source.url, 'CONFIG', 'SET', 'requirepass', 'secret')
    const screen = wizard()
    await screen.answer('Select source', enter)
    await screen.answer('? Source connection string:', 'redis//x', enter)
    await screen.shows('has no scheme')
    await screen.answer('? Source connection string:', 'redis://127.0.0.1:1', enter)
    await screen.shows('Check host and port')
    await screen.answer('? Source connection string:', source.url, enter)
    await screen.answer('? Password:', 'wrong', enter)
    await screen.answer('? Password:', 'secret', enter)
    await screen.shows('0 keys, answers in')
    await screen.answer('? Target Ferrite connection:', ferrite(), enter)
    await screen.answer('? Migration mode:', down, down, enter)
    await screen.answer('? Time between two syncs:', enter)
    await screen.shows('No groups of names')
    await screen.answer('? Verify ', 'n', enter)
    writeFileSync(join(directory, 'taken.yaml'), '')
    await screen.answer('? Write these answers to a file?', enter)
    await screen.answer('? File:', 'taken.yaml', enter)
    await screen.shows('exists: choose another name')
    await screen.press(...Array<string>(10).fill('\x7f'), 'mine.yaml', enter)
    await screen.answer('? Start now?', 'n', enter)
    expect(await screen.over).toBe(0)
    const written = readFileSync(join(directory, 'mine.yaml'), 'utf8')
    expect(written).toContain('${FERRITE_MIGRATE_SOURCE_PASSWORD}')
    expect(written).toMatch(/mode: incremental[\s\S]*interval: 15m/)
    expect(`${written}${screen.text}`).not.toContain('secret')
    await command(`redis://:secret@127.0.0.1:${source.port}`, 'CONFIG', 'SET', 'requirepass', '')
  })

  it('runs live until Ctrl-C', async () => {
    await command(source.url, 'SET', 'a', '1')
    const screen = wizard()
    await screen.answer('Select source', enter)
    await screen.answer('Source connection string:', source.url, enter)
    await screen.answer('Target Ferrite connection:', ferrite(), enter)
    await screen.answer('Migration mode:', enter)
    await screen.answer('? Verify ', 'n', enter)
    await screen.answer('Write these answers to a file?', 'n', enter)
    await screen.answer('Start now?', enter)
    await screen.shows('LIVE_SYNC')
    await command(source.url, 'SET', 'b', '2')
    await until(async () => (await command(target.url, 'EXISTS', 'b')) === 1, 'the write meanwhile')
    expect(await command(target.url, 'EXISTS', 'a', 'b')).toBe(2)
    await screen.press(interrupt)
    await screen.shows('--resume')
    expect(await screen.over).toBe(130)
  })

  it('imports files of every kind', async () => {
    await command(source.url, 'SET', 'a', '1')
    await command(source.url, 'SAVE')
    copyFileSync(join(source.directory, 'dump.rdb'), join(directory, 'dump.rdb'))
    writeFileSync(join(directory, 'rows.csv'), 'id,name\n7,Ann\n')
    writeFileSync(join(directory, 'only.aof'), '*3\r\n$3\r\nSET\r\n$1\r\nf\r\n$1\r\nx\r\n')
    const kinds: [number, string, (screen: Terminal) => Promise<void>, string][] = [
      [2, 'dump.rdb', async () => undefined, 'a'],
      [3, 'only.aof', async () => undefined, 'f'],
      [
        4,
        'rows.csv',
        async (screen) => {
          await screen.answer("Name of a row's key", 'row:{id}', enter)
          await screen.answer('What a row becomes:', enter)
        },
        'row:7',
      ],
    ]
    for (const [downs, file, more, key] of kinds) {
      const screen = wizard()
      await screen.answer('Select source', ...Array<string>(downs).fill(down), enter)
      await more(screen)
      await screen.answer('Source file:', '/nowhere', enter)
      await screen.shows('there is no such file')
      await screen.answer('Source file:', file, enter)
      await screen.answer('Target Ferrite connection:', target.url, enter)
      await screen.shows('imported once')
      await screen.answer('? Verify ', enter)
      await screen.answer('Write these answers to a file?', 'n', enter)
      await screen.answer('Start now?', enter)
      await screen.shows('VERIFIED')
      expect([file, await screen.over]).toEqual([file, 0])
      expect([file, await command(target.url, 'EXISTS', key)]).toEqual([file, 1])
    }
  })

  it('imports a Memcached', async (context) => {
    const reason = memcachedMissing()
    if (reason !== null) return context.skip(reason)
    const cache = await TestMemcached.start()
    stops.push(() => cache.stop())
    await cache.set('m', '1')
    const screen = wizard()
    await screen.answer('Select source', down, enter)
    await screen.answer('Source connection string:', cache.url, enter)
    await screen.shows('1 keys, answers in')
    await screen.answer('Target Ferrite connection:', target.url, enter)
    await screen.answer('Migration mode:', down, enter)
    await screen.answer('? Verify ', enter)
    await screen.answer('Write these answers to a file?', 'n', enter)
    await screen.answer('Start now?', enter)
    await screen.shows('VERIFIED')
    expect(await screen.over).toBe(0)
    expect(String(await command(target.url, 'GET', 'm'))).toBe('1')
  })

  it('leaves nothing behind after Ctrl-C at any question', async () => {
    await command(source.url, 'MSET', 'user:1', 'x', 'user:2', 'x', 'user:3', 'x')
    const questions: [string, string[]][] = [
      ['Select source', [enter]],
      ['Source connection string:', [source.url, enter]],
      ['Target Ferrite connection:', [ferrite(), enter]],
      ['Migration mode:', [enter]],
      ['Keys to leave out', [enter]],
      ['? Verify ', [enter]],
      ['Write these answers to a file?', [enter]],
      ['File:', [enter]],
    ]
    for (let last = 0; last < questions.length; last++) {
      const screen = wizard()
      for (const [question, keys] of questions.slice(0, last)) await screen.answer(question, ...keys)
      await screen.answer(questions[last][0], interrupt)
      await screen.shows('Nothing was changed.')
      expect([questions[last][0], await screen.over]).toEqual([questions[last][0], 130])
      expect([questions[last][0], await command(target.url, 'DBSIZE')]).toEqual([questions[last][0], 0])
      expect(existsSync(join(directory, 'state'))).toBe(false)
      expect(readdirSync(directory)).toEqual([])
    }
  })

  it('needs a terminal', async () => {
    const run = await cli(['wizard'])
    expect([run.code, run.output]).toEqual([2, expect.stringContaining('needs a terminal')])
  })
})

describe('doctor', () => {
  it('checks both ends, each for itself and together', async () => {
    const fine = await cli(['doctor', '-s', source.url, '-t', target.url])
    expect([fine.code, fine.output]).toEqual([0, expect.stringContaining('a migration would start')])
    expect(fine.output).toMatch(/SOURCE: redis[\s\S]*Redis 7[\s\S]*keys, answers in[\s\S]*TARGET:/)
    const closed = await cli(['doctor', '-s', 'redis://127.0.0.1:1', '-t', target.url])
    expect([closed.code, closed.output]).toEqual([1, expect.stringContaining('Check host and port')])
    await command(target.url, 'CONFIG', 'SET', 'maxmemory', '100mb')
    await command(target.url, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    const evicts = await cli(['doctor', '-s', source.url, '-t', target.url, '--json'])
    expect(evicts.code).toBe(4)
    expect(JSON.parse(evicts.output)).toMatchObject({ ready: false, ends: [{ error: null }, { error: null }] })
  })

  it('tells TLS to a plain port, a password, and a full target from one another', async () => {
    const tls = await cli([
      'doctor',
      '-s',
      source.url.replace('redis', 'rediss'),
      '-t',
      `${target.url}?connect-timeout=1s`,
    ])
    expect([tls.code, tls.output]).toEqual([1, expect.stringMatching(/FM_CONNECT_(TLS|TIMEOUT|LOST)[\s\S]*redis:\/\//)])
    await command(source.url, 'CONFIG', 'SET', 'requirepass', 'secret')
    const password = await cli(['doctor', '-s', source.url, '-t', target.url])
    expect([password.code, password.output]).toEqual([1, expect.stringContaining('FM_AUTH_REQUIRED')])
    await command(`redis://:secret@127.0.0.1:${source.port}`, 'CONFIG', 'SET', 'requirepass', '')
    await command(target.url, 'SET', 'there', '1')
    const full = await cli(['doctor', '-s', source.url, '-t', target.url])
    expect([full.code, full.output]).toEqual([0, expect.stringContaining('already has 1 key;')])
  })
})
