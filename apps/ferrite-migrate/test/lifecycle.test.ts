import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { isOwnKey, parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { freePort, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { caughtUp, command, differences, migration, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

async function startEmulator(): Promise<{ url: string; redis: string }> {
  const backend = await start()
  const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
  stops.push(() => emulator.stop())
  return { url: emulator.url, redis: emulator.url.replace('ferrite', 'redis') }
}
function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  stops.push(async () => server.close())
  return once(server, 'listening').then(() => (server.address() as AddressInfo).port)
}
function tool(...args: string[]): Tool {
  const made = new Tool(args)
  stops.push(() => made.kill())
  return made
}

async function fill(url: string, keys: number, prefix = 'k'): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  for (let from = 0; from < keys; from += 1000)
    await link.pipeline((out) => {
      const to = Math.min(keys, from + 1000)
      for (let i = from; i < to; i++) out.call('SET', `${prefix}:${i}`, `value ${i} ${'x'.repeat(i % 150)}`)
      return to - from
    })
  link.close()
}

describe('resume', () => {
  it('goes on from where Ctrl-C stopped it, by --resume and by a file with the same id', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    await fill(source.url, 500)
    const state = stateDir()
    const file = join(mkdtempSync(join(tmpdir(), 'fm-yaml-')), 'migration.yaml')
    writeFileSync(
      file,
      `id: nightly\nmode: live\nsource:\n  host: 127.0.0.1\n  port: ${source.port}\ntarget:\n  type: ferrite\n  host: 127.0.0.1\n  port: ${target.port}\noptions:\n  state_dir: ${state}\n`,
    )
    const first = tool('migrate', '-c', file)
    await first.says('LIVE_SYNC')
    first.child.kill('SIGINT')
    expect(await first.over).toBe(130)
    expect(first.output).toContain('migrate --resume nightly')
    await command(source.url, 'INCR', 'while-away')
    const second = tool('migrate', '--resume', 'nightly', '--state-dir', state)
    await second.says(/going on from \w+:\d+:\d+/)
    await until(async () => String(await command(target.url, 'GET', 'while-away')) === '1', 'the change of meanwhile')
    second.child.kill('SIGINT')
    expect(await second.over).toBe(130)
    await command(source.url, 'INCR', 'while-away')
    const third = await cli(['migrate', '-c', file, '--exit'])
    expect([third.code, third.output]).toEqual([0, expect.stringMatching(/going on from/)])
    expect(await differences(source.url, target.url)).toEqual([])
    const over = await cli(['migrate', '--resume', 'nightly', '--state-dir', state])
    expect([over.code, over.output]).toEqual([2, expect.stringContaining('FM_RESUME_OVER')])
    const unknown = await cli(['migrate', '--resume', 'nobody', '--state-dir', state])
    expect([unknown.code, unknown.output]).toEqual([2, expect.stringContaining('FM_ID_UNKNOWN')])
  })

  it('stores no password, and asks for it again', async () => {
    const source = await start({ args: ['--requirepass', 'hunter2'] })
    const target = await start()
    const url = source.url.replace('//', '//:hunter2@')
    const state = stateDir()
    const first = tool('migrate', '--id', 'm', '-s', url, '-t', target.url, '--state-dir', state)
    await first.says('LIVE_SYNC')
    await first.kill()
    expect(readFileSync(join(state, 'state.db')).includes('hunter2')).toBe(false)
    expect(readFileSync(join(state, 'state.db-wal')).includes('hunter2')).toBe(false)
    const refused = await cli(['migrate', '--resume', 'm', '--state-dir', state])
    expect([refused.code, refused.output]).toEqual([
      2,
      expect.stringMatching(/FM_RESUME_PASSWORD[\s\S]*FERRITE_MIGRATE_SOURCE_PASSWORD/),
    ])
    const given = await cli(['migrate', '--resume', 'm', '--exit', '--state-dir', state], {
      FERRITE_MIGRATE_SOURCE_PASSWORD: 'hunter2',
    })
    expect([given.code, given.output]).toEqual([0, expect.not.stringContaining('hunter2')])
    const other = await start({ args: ['--requirepass', 'hunter2'] })
    const again = tool('migrate', '--id', 'n', '-s', url, '-t', target.url, '--state-dir', state)
    await again.says('LIVE_SYNC')
    await again.kill()
    const mismatch = await cli(['migrate', '--resume', 'n', '-s', other.url, '--state-dir', state], {
      FERRITE_MIGRATE_SOURCE_PASSWORD: 'hunter2',
    })
    expect([mismatch.code, mismatch.output]).toEqual([2, expect.stringContaining('FM_RESUME_MISMATCH')])
  })

  it('does not send again what a snapshot had already brought, and says how much that was', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 20_000)
    const state = ['--state-dir', stateDir()]
    const ends = ['-s', source.url, '-t', target.url, '-m', 'snapshot']
    const first = tool('migrate', '--id', 'm', ...ends, '--max-rate', '3000', ...state)
    await until(async () => Number(await command(target.url, 'DBSIZE')) > 5000, 'a quarter')
    await first.kill()
    await command(source.url, 'SET', 'k:0', 'changed meanwhile')
    const there = ((await command(target.url, 'KEYS', '*')) as Buffer[]).filter((key) => !isOwnKey(key)).length
    const second = await cli(['migrate', '--resume', 'm', '--max-rate', '0', ...state])
    expect(second.code).toBe(0)
    const [, right, written] =
      /([\d,]+) keys were right at the target already, ([\d,]+) written/
        .exec(second.output)
        ?.map((text) => text.replace(',', '')) ?? []
    expect(Number(right)).toBeGreaterThanOrEqual(there - 1)
    expect(Number(right) + Number(written)).toBe(20_000)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('knows at once what a large target holds, and what of that the source has changed or has no more', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 150_000)
    for (let i = 0; i < 50; i++) await command(source.url, 'HSET', `h:${i}`, 'f', `${i}`, 'g', 'x'.repeat(i * 20))
    const state = ['--state-dir', stateDir()]
    const first = tool('migrate', '--id', 'm', '-s', source.url, '-t', target.url, '-m', 'snapshot', ...state)
    await until(async () => Number(await command(target.url, 'DBSIZE')) > 110_000, 'most of it')
    await first.kill()
    const there = ((await command(target.url, 'KEYS', '*')) as Buffer[]).filter((key) => !isOwnKey(key)).map(String)
    const [gone, changed, ends, other] = there
    await command(source.url, 'DEL', gone)
    await command(source.url, 'SET', changed, 'changed meanwhile')
    await command(source.url, 'PEXPIRE', ends, '100000000')
    // Somebody wrote over it at the target.
    await command(target.url, 'SET', other, 'not what was copied')
    const read = async (): Promise<number> =>
      Number(/cmdstat_dump:calls=(\d+)/.exec(String(await command(target.url, 'INFO', 'commandstats')))?.[1] ?? 0)
    const before = await read()
    const second = await cli(['migrate', '--resume', 'm', ...state])
    expect(second.code).toBe(0)
    expect(second.output).toContain('1 key that vanished at the source was deleted at the target')
    const [, right, written] =
      /([\d,]+) keys were right at the target already, ([\d,]+) written/
        .exec(second.output)
        ?.map((text) => text.replace(',', '')) ?? []
    expect(Number(right)).toBe(there.length - 4)
    expect(Number(right) + Number(written)).toBe(150_049)
    // Each of them was not asked for: only a sample of what was written.
    expect((await read()) - before).toBeLessThan(1000)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('goes on with a scan at its cursor', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 20_000)
    const state = ['--state-dir', stateDir()]
    const first = tool(
      'migrate',
      '--id',
      'm',
      '-s',
      source.url,
      '-t',
      target.url,
      '-m',
      'snapshot',
      '--capture',
      'notifications',
      '--max-rate',
      '3000',
      ...state,
    )
    await until(async () => Number(await command(target.url, 'DBSIZE')) > 6000, 'a part')
    // The position is saved once a second.
    await sleep(1100)
    await first.kill()
    const second = await cli(['migrate', '--resume', 'm', '--max-rate', '0', ...state])
    expect([second.code, second.output]).toEqual([0, expect.stringMatching(/going on from scan:0:\d+/)])
    expect(await differences(source.url, target.url)).toEqual([])
    const report = /Written:\s+([\d,]+)/.exec(second.output)?.[1].replace(',', '')
    expect(Number(report)).toBeLessThan(26_000)
  })

  it('bears a source that restarts, one that fails over, and ends FAILED and resumable when it stays away', async () => {
    const source = await start({ persistent: true, args: ['--repl-backlog-size', '16mb'] })
    const target = await start()
    await fill(source.url, 300)
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    await caughtUp(run, source.url)
    await source.kill()
    await sleep(300)
    await source.launch()
    await command(source.url, 'INCR', 'after-restart')
    await command(source.url, 'DEL', 'k:1')
    await caughtUp(run, source.url)
    run.stop()
    const report = await done
    expect(report.notes.map(({ type }) => type)).toContain('compared')
    expect(await differences(source.url, target.url)).toEqual([])

    const state = stateDir()
    const second = migration({ source: source.url, target: target.url, id: 'm', stateDir: state, syncTimeoutMs: 1500 })
    const failing = second.start()
    failing.catch(() => undefined)
    await caughtUp(second, source.url)
    await source.kill()
    await expect(failing).rejects.toMatchObject({ code: expect.stringMatching(/^FM_CONNECT/) })
    expect(second.status().state).toBe('FAILED')
    await source.launch()
    const resumed = await cli(['migrate', '--resume', 'm', '--exit', '--sync-timeout', '1h', '--state-dir', state])
    expect([resumed.code, resumed.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('follows a replica that becomes the primary, by its second replid', async () => {
    const primary = await start({ args: ['--repl-backlog-size', '16mb'] })
    const replica = await start({ args: ['--repl-backlog-size', '16mb'] })
    const target = await start()
    await fill(primary.url, 200)
    await command(replica.url, 'REPLICAOF', '127.0.0.1', primary.port)
    await until(
      async () => /link_status:up/.test(String(await command(replica.url, 'INFO', 'replication'))),
      'a replica',
    )
    const run = migration({ source: replica.url, target: target.url })
    const done = run.start()
    await command(primary.url, 'SET', 'by-primary', '1')
    await until(
      async () => (await command(target.url, 'GET', 'by-primary').catch(() => null)) !== null,
      'the write of the primary',
    )
    await command(replica.url, 'REPLICAOF', 'NO', 'ONE')
    await command(replica.url, 'CLIENT', 'KILL', 'TYPE', 'replica')
    await command(replica.url, 'INCR', 'promoted')
    await caughtUp(run, replica.url)
    run.stop()
    const report = await done
    expect(report.notes.filter(({ type }) => type === 'resync')).toEqual([])
    expect(await differences(replica.url, target.url)).toEqual([])
  })
})

describe('incremental', () => {
  it('carries only what changed, one pass per call, and everything compared when the backlog is gone', async () => {
    const source = await start({ args: ['--repl-backlog-size', '1mb'] })
    const target = await start()
    await fill(source.url, 1000)
    const args = [
      'migrate',
      '--id',
      'inc',
      '-s',
      source.url,
      '-t',
      target.url,
      '-m',
      'incremental',
      '--once',
      '--state-dir',
      stateDir(),
    ]
    const first = await cli(args)
    expect([first.code, first.output]).toEqual([
      0,
      expect.stringMatching(/pass 1: everything compared, 0 changes, 1000 written/),
    ])
    await command(source.url, 'SET', 'k:1', 'new')
    await command(source.url, 'DEL', 'k:2')
    const second = await cli(args)
    expect([second.code, second.output]).toEqual([
      0,
      expect.stringMatching(/pass 2: from the backlog of the source, 2 changes/),
    ])
    expect(await differences(source.url, target.url)).toEqual([])
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 4000; i++) out.call('SET', 'turns-over', 'y'.repeat(500))
      out.call('DEL', 'k:3')
      return 4001
    })
    link.close()
    const third = await cli(args)
    expect([third.code, third.output]).toEqual([
      0,
      expect.stringMatching(
        /1 key that vanished[\s\S]*998 keys were right at the target already, 1 written[\s\S]*pass 3: everything compared, 0 changes, 1 written, 1 deleted/,
      ),
    ])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('waits for its interval, and says what each pass did', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 50)
    const state = ['--state-dir', stateDir()]
    const run = tool(
      'migrate',
      '--id',
      'inc',
      '-s',
      source.url,
      '-t',
      target.url,
      '-m',
      'incremental',
      '--interval',
      '1s',
      ...state,
    )
    await run.says('pass 1:')
    await run.says('WAITING')
    await command(source.url, 'SET', 'between', '1')
    await run.says('pass 3:')
    expect(String(await command(target.url, 'GET', 'between'))).toBe('1')
    run.child.kill('SIGINT')
    expect(await run.over).toBe(130)
    const report = join(mkdtempSync(join(tmpdir(), 'fm-html-')), 'r.html')
    expect((await cli(['report', '--id', 'inc', '-o', report, ...state])).code).toBe(0)
    expect(readFileSync(report, 'utf8')).toMatch(/<h2>Passes<\/h2>[\s\S]*<svg|<h2>Passes<\/h2>/)
    const bad = await cli([
      'migrate',
      '-s',
      source.url,
      '-t',
      target.url,
      '-m',
      'incremental',
      '--schedule',
      'soon',
      ...state,
    ])
    expect([bad.code, bad.output]).toEqual([2, expect.stringContaining('no cron expression')])
  })
})

describe('reverse migration', () => {
  it('follows a Ferrite by comparing everything again and again, deletes included', async () => {
    const ferrite = await startEmulator()
    const target = await start()
    await fill(ferrite.redis, 1500)
    await command(target.url, 'SET', 'of-before', '1')
    const state = ['--state-dir', stateDir()]
    const run = tool(
      'migrate',
      '--id',
      'back',
      '-s',
      ferrite.url,
      '-t',
      target.url,
      '-m',
      'live',
      '--source-option',
      'poll-interval=200ms',
      ...state,
    )
    await run.says('compared again at every poll-interval')
    await run.says('LIVE_SYNC')
    await command(ferrite.redis, 'SET', 'k:7', 'changed')
    await command(ferrite.redis, 'DEL', 'k:8')
    await command(ferrite.redis, 'RPUSH', 'fresh', 'a', 'b')
    await until(
      async () =>
        String(await command(target.url, 'GET', 'k:7')) === 'changed' &&
        (await command(target.url, 'EXISTS', 'k:8')) === 0 &&
        (await command(target.url, 'LLEN', 'fresh')) === 2,
      'the changes',
    )
    // What was at the target before and never at the source is nobody's to delete.
    expect(await command(target.url, 'EXISTS', 'of-before')).toBe(1)
    run.child.kill('SIGINT')
    expect(await run.over).toBe(130)
    const psync = await cli(['migrate', '-s', ferrite.url, '-t', target.url, '--capture', 'psync', ...state])
    expect([psync.code, psync.output]).toEqual([1, expect.stringContaining('FM_PSYNC_REFUSED')])
  })

  it('recognises in seconds a PSYNC that never sends anything', async () => {
    // A real server in front of which PSYNC is answered as Ferrite answers it, under a name that gives nothing away.
    const backend = await start()
    const port = await listen(
      createTcp((client) => {
        void RedisLink.open(parseEndpoint(backend.url)).then((link) => {
          let mute = false
          link.takeOver((data) => client.write(data))
          client.on('data', (data) => {
            mute ||= data.includes('*3\r\n$5\r\nPSYNC')
            if (mute) client.write('+FULLRESYNC 8371445e00000000000000000000000000000000 0\r\n')
            else link.send(data)
          })
          client.on('close', () => link.close())
          client.on('error', () => link.close())
        })
      }),
    )
    const target = await start()
    const startedAt = Date.now()
    const run = await cli(['migrate', '-s', `redis://127.0.0.1:${port}`, '-t', target.url, '--state-dir', stateDir()])
    expect([run.code, run.output]).toEqual([1, expect.stringContaining('it accepted and then sent nothing')])
    expect(Date.now() - startedAt).toBeLessThan(60_000)
  })
})

describe('people', () => {
  it('are told by Slack, webhook and e-mail, and a broken way does not matter', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 100)
    const posts: { path: string; body: Record<string, unknown> }[] = []
    const http = createHttp((request, response) => {
      let body = ''
      request.on('data', (data: Buffer) => {
        body += data.toString()
      })
      request.on('end', () => {
        posts.push({ path: request.url ?? '', body: JSON.parse(body) as Record<string, unknown> })
        response.end('ok')
      })
    })
    const port = await listen(http)
    const mails: string[] = []
    const smtp = await listen(
      createTcp((socket) => {
        let inData = false
        let text = ''
        socket.on('error', () => undefined)
        socket.write('220 test\r\n')
        socket.on('data', (data) => {
          for (const line of data.toString().split('\r\n')) {
            if (inData) {
              text += `${line}\n`
              if (line === '.') {
                mails.push(text)
                text = ''
                inData = false
                socket.write('250 kept\r\n')
              }
            } else if (/^DATA/i.test(line)) {
              inData = true
              socket.write('354 go on\r\n')
            } else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n')
            else if (line !== '') socket.write('250 ok\r\n')
          }
        })
      }),
    )
    const file = join(mkdtempSync(join(tmpdir(), 'fm-yaml-')), 'migration.yaml')
    const config = (slack: string): string =>
      `id: told\nsource: ${source.url}\ntarget: ${target.url}\noptions:\n  exit: true\n  state_dir: ${stateDir()}\nnotifications:\n  slack: ${slack}\n  webhook: http://127.0.0.1:${port}/hook\n  email: ops@example.com\n  smtp:\n    host: 127.0.0.1\n    port: ${smtp}\n    from: tool@example.com\n`
    writeFileSync(file, config(`http://127.0.0.1:${port}/slack`))
    expect((await cli(['config', 'validate', file])).output).toContain('is valid')
    expect((await cli(['migrate', '-c', file])).code).toBe(0)
    const events = posts.filter(({ path }) => path === '/hook').map(({ body }) => body.event)
    expect(events).toEqual(['started', 'live', 'completed'])
    expect(posts.filter(({ path }) => path === '/slack').map(({ body }) => String(body.text))).toContainEqual(
      expect.stringContaining('told: completed'),
    )
    expect(mails.join('\n')).toMatch(/Subject: \[ferrite-migrate\] told: completed/)
    writeFileSync(file, config(`http://127.0.0.1:${await freePort()}/secret-path`))
    const broken = await cli(['migrate', '-c', file])
    expect([broken.code, broken.output]).toEqual([
      0,
      expect.stringMatching(/by Slack was not delivered: it refuses connections/),
    ])
    expect(broken.output).not.toContain('secret-path')
  })

  it('go on though another process keeps the state locked', async () => {
    const source = await start()
    const target = await start()
    const directory = stateDir()
    const run = tool('migrate', '--id', 'm', '-s', source.url, '-t', target.url, '--state-dir', directory)
    await run.says('LIVE_SYNC')
    const other = new DatabaseSync(join(directory, 'state.db'))
    other.exec('BEGIN IMMEDIATE')
    await command(source.url, 'SET', 'meanwhile', '1')
    await run.says('the state could not be saved: database is locked')
    other.exec('ROLLBACK')
    other.close()
    await until(async () => (await command(target.url, 'EXISTS', 'meanwhile')) === 1, 'the write meanwhile')
    run.child.kill('SIGINT')
    expect(await run.over).toBe(130)
    expect(await differences(source.url, target.url)).toEqual([])
    const status = await cli(['status', '--id', 'm', '--state-dir', directory])
    expect(status.output).toContain('INTERRUPTED')
  })

  it('pause and go on from another process, and read the audit trail', async () => {
    const source = await start()
    const target = await start()
    const state = ['--state-dir', stateDir()]
    const run = tool('migrate', '--id', 'm', '-s', source.url, '-t', target.url, ...state)
    await run.says('LIVE_SYNC')
    expect((await cli(['pause', '--id', 'm', ...state])).code).toBe(0)
    await command(source.url, 'SET', 'held', '1')
    await sleep(400)
    expect(await command(target.url, 'EXISTS', 'held')).toBe(0)
    const status = await cli(['status', '--id', 'm', ...state])
    expect(status.output).toContain('paused')
    expect((await cli(['resume', '--id', 'm', ...state])).code).toBe(0)
    await until(async () => (await command(target.url, 'EXISTS', 'held')) === 1, 'the held write')
    expect((await cli(['stop', '--id', 'm', ...state])).code).toBe(0)
    expect(await run.over).toBe(130)
    const trail = await cli(['events', '--id', 'm', ...state])
    expect(trail.output).toMatch(
      /started[\s\S]*LIVE_SYNC[\s\S]*asked-pause[\s\S]*paused[\s\S]*asked-resume[\s\S]*asked-stop[\s\S]*INTERRUPTED/,
    )
    expect(trail.output).toMatch(/\[\S+@\S+ pid \d+\]/)
    const gone = await cli(['pause', '--id', 'm', ...state])
    expect([gone.code, gone.output]).toEqual([2, expect.stringContaining('FM_NOT_RUNNING')])
  })

  it('slow down for a rate, and for a source that suffers', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 4000)
    const startedAt = Date.now()
    const limited = migration({
      source: source.url,
      target: target.url,
      mode: 'snapshot',
      maxRate: 2000,
      batchSize: 200,
    })
    await limited.start()
    expect(Date.now() - startedAt).toBeGreaterThan(800)
    // Any server takes longer to answer than a hundredth of a millisecond... so the guard must act.
    const guarded = migration({
      source: source.url,
      target: target.url,
      mode: 'live',
      exit: true,
      maxSourceCpu: 1,
      capture: 'notifications',
      batchSize: 100,
      maxRate: 1500,
    })
    let busy = true
    const work = (async () => {
      // One after the other, so that a slow machine is not buried.
      while (busy) await command(source.url, 'EVAL', 'local n = 0; for i = 1, 3000000 do n = n + i end; return n', 0)
    })()
    try {
      const report = await guarded.start()
      expect(report.notes.map(({ text }) => text)).toContainEqual(
        expect.stringMatching(/reading slows down: the source is \d+% busy/),
      )
    } finally {
      busy = false
      await work
    }
  })

  it('get a configuration checked with line and column', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'fm-yaml-')), 'migration.yaml')
    writeFileSync(file, 'source: redis://a\ntarget: redis://b\noptions:\n  paralel_workers: 8\n')
    const checked = await cli(['config', 'validate', file])
    expect([checked.code, checked.output]).toEqual([
      2,
      expect.stringMatching(/line 4, column 3: options.paralel_workers: there is no such field/),
    ])
    const missing = await cli(['config', 'validate', '/nowhere.yaml'])
    expect([missing.code, missing.output]).toEqual([2, expect.stringContaining('FM_FILE_UNREADABLE')])
  })
})
