import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findServer, freePort, TestServer, until } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'

const BIN = resolve(import.meta.dirname, '..', 'bin', 'run.js')

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

function cli(...args: string[]): Promise<Outcome> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: { ...process.env, FERRITE_MIGRATE_STATE_DIR: stateDir() },
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (data) => (out += data))
    child.stderr.on('data', (data) => (err += data))
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000)
    child.once('close', (code) => {
      clearTimeout(timer)
      done({ code: code ?? -1, out, err })
    })
  })
}

let source: TestServer
let target: TestServer
let locked: TestServer
let full: TestServer
beforeAll(async () => {
  source = await TestServer.start()
  target = await TestServer.start()
  locked = await TestServer.start({ args: ['--requirepass', 'secret'] })
  full = await TestServer.start({ args: ['--maxmemory', '1mb', '--maxmemory-policy', 'noeviction'] })
  await command(source.url, 'SET', 'a', '1')
})
afterAll(async () => {
  for (const server of [source, target, locked, full]) await server?.stop()
})

/** One clear line and what to do; never a stack trace or a secret. */
function expectError(outcome: Outcome, code: number, name: string): void {
  expect(outcome.err).toContain(name)
  expect(outcome.err).not.toMatch(/\n\s+at /)
  expect(outcome.err + outcome.out).not.toContain('s3cr3t')
  expect(outcome.code).toBe(code)
}

describe('errors that people make', () => {
  it('wrong URL', async () =>
    expectError(await cli('migrate', '-s', 'source:6379', '-t', target.url), 2, 'FM_URL_INVALID'))
  it('a word too many, and no such command', async () => {
    expectError(await cli('verify', 'redis://a', '-t', target.url), 2, 'verify takes no such argument: redis://a')
    expectError(await cli('transform', 'test', 'x'), 2, 'transform test takes no such argument: x')
    expectError(await cli('migrat'), 2, 'there is no command migrat')
  })
  it('unknown scheme', async () =>
    expectError(await cli('migrate', '-s', 'mysql://x', '-t', target.url), 2, 'FM_PLUGIN_MISSING'))
  it('bad database', async () =>
    expectError(await cli('migrate', '-s', `${source.url}/x`, '-t', target.url), 2, 'FM_URL_INVALID'))
  it('closed port', async () =>
    expectError(
      await cli('migrate', '-s', `redis://127.0.0.1:${await freePort()}`, '-t', target.url),
      1,
      'FM_CONNECT_REFUSED',
    ))
  it('no such host', async () =>
    expectError(
      await cli('migrate', '-s', 'redis://no-such-host.invalid:6379', '-t', target.url),
      1,
      'FM_CONNECT_HOST',
    ))
  it('password missing', async () =>
    expectError(await cli('migrate', '-s', locked.url, '-t', target.url), 1, 'FM_AUTH_REQUIRED'))
  it('password wrong', async () =>
    expectError(
      await cli('migrate', '-s', locked.url.replace('//', '//:s3cr3t@'), '-t', target.url),
      1,
      'FM_AUTH_REFUSED',
    ))
  it('unreadable certificate', async () =>
    expectError(
      await cli(
        'migrate',
        '-s',
        source.url.replace('redis', 'rediss'),
        '-t',
        target.url,
        '--source-option',
        'tls-ca=/no/such.pem',
      ),
      2,
      'FM_FILE_UNREADABLE',
    ))
  it('TLS to a plain port', async () => {
    const outcome = await cli(
      'migrate',
      '-s',
      source.url.replace('redis', 'rediss'),
      '-t',
      target.url,
      '--source-option',
      'connect-timeout=3s',
    )
    expect(outcome.err).toContain('FM_CONNECT_TLS')
    expect(outcome.code).toBe(1)
  })
  it('something that is no Redis', async () => {
    const http = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
    const { port } = http.address() as { port: number }
    const outcome = await cli('migrate', '-s', `redis://127.0.0.1:${port}`, '-t', target.url)
    http.close()
    expectError(outcome, 1, 'FM_RESP_PROTOCOL')
  })
  it('source is loading', async (context) => {
    // Each key takes a while, and clients are answered in between.
    const slow = await findServer('8.2')
    if (!('program' in slow)) return context.skip(slow.reason)
    const loading = await TestServer.start({
      version: '8.2',
      args: [
        ...['--enable-debug-command', 'yes'],
        ...['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'],
      ],
    })
    await command(loading.url, 'DEBUG', 'POPULATE', '60000')
    const reloaded = command(loading.url, 'DEBUG', 'RELOAD').catch(() => undefined)
    await sleep(200)
    const outcomes = [
      await cli('migrate', '-s', loading.url, '-t', target.url),
      await cli('migrate', '-s', source.url, '-t', loading.url),
    ]
    loading.signal('SIGKILL')
    await reloaded
    await loading.stop()
    for (const outcome of outcomes) expectError(outcome, 1, 'FM_SERVER_LOADING')
  })
  it('target full', async () => {
    await command(source.url, 'SET', 'big', 'x'.repeat(3_000_000))
    const outcome = await cli('migrate', '-s', source.url, '-t', full.url, '-m', 'snapshot')
    await command(source.url, 'DEL', 'big')
    expectError(outcome, 1, 'FM_TARGET_FULL')
  })
  it('target that evicts is refused', async () => {
    await command(target.url, 'CONFIG', 'SET', 'maxmemory', '100mb')
    await command(target.url, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    const outcome = await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot')
    const allowed = await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--allow-eviction')
    await command(target.url, 'CONFIG', 'SET', 'maxmemory', '0')
    await command(target.url, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    expectError(outcome, 4, 'FM_PREFLIGHT_REFUSED')
    expect(allowed.code).toBe(0)
  })
  it('unknown values and flags', async () => {
    expect((await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'sideways')).code).toBe(2)
    expect((await cli('migrate', '-s', source.url, '-t', target.url, '--no-such-flag')).code).toBe(2)
    expectError(
      await cli('migrate', '-s', source.url, '-t', target.url, '--source-option', 'colour=red'),
      2,
      'FM_OPTION_UNKNOWN',
    )
    expectError(await cli('migrate', '-s', source.url, '-t', target.url, '-p', '0'), 2, 'FM_CONFIG_INVALID')
    expectError(await cli('status', '--id', 'nobody'), 2, 'FM_ID_UNKNOWN')
  })
  it('a conflict under --on-conflict fail', async () => {
    await command(target.url, 'SET', 'a', 'other')
    expectError(
      await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--on-conflict', 'fail'),
      1,
      'FM_TARGET_CONFLICT',
    )
    expect(String(await command(target.url, 'GET', 'a'))).toBe('other')
    expect(
      (await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--on-conflict', 'skip')).code,
    ).toBe(0)
    expect(String(await command(target.url, 'GET', 'a'))).toBe('other')
    await command(target.url, 'FLUSHALL')
  })
  it('differences give exit code 3', async () => {
    await command(target.url, 'SET', 'extra', '1')
    const outcome = await cli('migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--verify', '--strict')
    await command(target.url, 'DEL', 'extra')
    expect(outcome.code).toBe(3)
    expect(outcome.out).toContain('missing-source: extra')
  })
})

describe('the commands of the page', () => {
  it('run without the word migrate, give JSON, and show up in list and status', async () => {
    const id = `mig_${process.pid}`
    const dir = stateDir()
    const run = await cli(
      '--source',
      source.url,
      '--target',
      target.url,
      '--mode',
      'snapshot',
      '--parallel',
      '8',
      '--batch-size',
      '1000',
      '--filter',
      '*',
      '--exclude',
      'temp:*',
      '--json',
      '--id',
      id,
      '--state-dir',
      dir,
    )
    expect(run.code).toBe(0)
    expect(JSON.parse(run.out).status).toMatchObject({ id, state: 'COMPLETED', keysFailed: 0 })
    const status = await cli('status', '--id', id, '--state-dir', dir)
    expect(status.out).toMatch(
      /^Migration: mig_\d+\nStatus: COMPLETED\nPhase: COMPLETED\n\nProgress:\n█{24} 100%\n\nStatistics:\n─+\nKeys migrated: +1 \/ 1\n/,
    )
    expect(JSON.parse((await cli('list', '--json', '--state-dir', dir)).out).migrations).toHaveLength(1)
    expect((await cli('--source', source.url, '--target', target.url, '--dry-run')).out).toContain('MIGRATION PLAN')
  })

  it('stops on Ctrl-C with everything written', async () => {
    const child = spawn(process.execPath, [BIN, '-s', source.url, '-t', target.url, '--state-dir', stateDir()])
    let out = ''
    child.stdout.on('data', (data) => (out += data))
    await new Promise<void>((live) => child.stderr.on('data', (data) => String(data).includes('LIVE_SYNC') && live()))
    await command(source.url, 'SET', 'last', 'word')
    await until(async () => (await command(target.url, 'GET', 'last')) !== null, 'the last write')
    child.kill('SIGINT')
    const code = await new Promise((done) => child.once('close', done))
    expect(code).toBe(130)
    expect(out).toContain('Stopped. Everything read is written')
    expect(String(await command(target.url, 'GET', 'last'))).toBe('word')
  })

  it('reads the password from environment and file', async () => {
    const file = join(stateDir(), 'password')
    writeFileSync(file, 'secret\n')
    const run = await cli(
      '-s',
      locked.url,
      '-t',
      target.url,
      '-m',
      'snapshot',
      '--source-option',
      `password-file=${file}`,
    )
    expect(run.code).toBe(0)
  })
})
