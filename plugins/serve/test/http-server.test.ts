import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MigrationService } from '@ferrite-migrate/api'
import { Registry } from '@ferrite-migrate/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Access, newToken, tokenOf } from '../src/http/access.js'
import { HttpServer } from '../src/http/http-server.js'

const TOKEN = 'a-token-of-some-length'
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const folder = (): string => mkdtempSync(join(tmpdir(), 'fm-serve-'))

async function create(
  token: string | null = TOKEN,
  log: (text: string) => void = () => undefined,
): Promise<HttpServer> {
  const logger = { log: (level: string, text: string) => void (level === 'error' && log(text)), enabled: () => false }
  const service = new MigrationService({
    stateDir: folder(),
    registry: new Registry([]),
    logger,
    version: '1.2.3',
    allowHooks: false,
    allowSecretPlaces: false,
  })
  const page = folder()
  writeFileSync(join(page, 'index.html'), '<!doctype html><title>page</title>')
  const server = await HttpServer.create({ service, logger, access: new Access(token, ['migrate.internal']), page })
  stops.push(async () => {
    await server.close()
    service.close()
  })
  return server
}

const started = async (): Promise<string> => (await create()).listen({ host: '127.0.0.1', port: 0 })

const LIST = '{"jsonrpc":"2.0","id":1,"method":"migration.list"}'

async function post(url: string, body: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  const given = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers }
  const response = await fetch(`${url}/rpc`, { method: 'POST', body, headers: given })
  return [response.status, await response.text()]
}

/** As `fetch`, which sets Host itself. */
function get(url: string, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((done, fail) => {
    const asked = request(`${url}${path}`, { headers }, (response) => {
      response.resume()
      done(response.statusCode ?? 0)
    })
    asked.on('error', fail)
    asked.end()
  })
}

const opened = (url: string, protocols: string[]): Promise<WebSocket | null> =>
  new Promise((done) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, protocols)
    socket.onopen = () => done(socket)
    socket.onerror = () => done(null)
  })

describe('the HTTP server', () => {
  it('answers questions, faults and batches by POST', async () => {
    const url = await started()
    expect(await post(url, LIST)).toEqual([200, '{"jsonrpc":"2.0","id":1,"result":{"migrations":[]}}'])
    expect(await post(url, '{bad')).toEqual([200, expect.stringContaining('-32700')])
    expect(await post(url, '')).toEqual([expect.any(Number), expect.stringMatching(/-32700|error/)])
    expect(await post(url, '[]')).toEqual([200, expect.stringContaining('-32600')])
    expect(await post(url, `[${LIST},${LIST.replace('"id":1', '"id":2')}]`)).toEqual([
      200,
      expect.stringMatching(/^\[.*\]$/),
    ])
    expect(await post(url, LIST.replace('"id":1,', ''))).toEqual([204, ''])
    expect((await post(url, LIST, { 'content-type': 'text/plain' }))[0]).toBe(415)
    expect((await post(url, ' '.repeat((16 << 20) + 1)))[0]).toBe(413)
  })

  it('wants the token for all but the page and its health', async () => {
    const url = await started()
    expect((await post(url, LIST, { authorization: 'Bearer another' }))[0]).toBe(401)
    expect((await post(url, LIST, { authorization: `Basic ${TOKEN}` }))[0]).toBe(401)
    for (const path of ['/metrics', '/ws']) expect((await fetch(`${url}${path}`)).status).toBe(401)
    for (const path of ['/', '/health']) expect((await fetch(`${url}${path}`)).status).toBe(200)
    const metrics = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
    expect([metrics.status, await metrics.text()]).toEqual([200, expect.stringContaining('process_cpu_seconds_total')])
  })

  it('answers who does not know the token before it reads what he sends', async () => {
    const { hostname, port } = new URL(await started())
    const client = connect(Number(port), hostname)
    const answered = new Promise<string>((done) => client.once('data', (data) => done(String(data))))
    client.write(
      `POST /rpc HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: 16000000\r\n\r\n{`,
    )
    expect(await answered).toMatch(/^HTTP\/1\.1 401 /)
    client.destroy()
  })

  it('tells nobody the text of a fault of its own, and tells its log', async () => {
    const logged: string[] = []
    const server = await create(TOKEN, (text) => logged.push(text))
    const url = await server.listen({ host: '127.0.0.1', port: 0 })
    vi.spyOn(MigrationService.prototype, 'measured').mockImplementation(() => {
      throw new Error('no such table: secret')
    })
    vi.spyOn(MigrationService.prototype, 'list').mockImplementation(() => {
      throw new Error('no such table: secret')
    })
    const metrics = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
    expect([metrics.status, await metrics.text()]).toEqual([500, '{"error":"Internal error"}'])
    expect(await post(url, LIST)).toEqual([200, expect.stringContaining('-32603')])
    expect(logged.filter((text) => text.includes('secret'))).toHaveLength(2)
    vi.restoreAllMocks()
  })

  it('takes no files and variables from clients that hold passwords', async () => {
    const url = await started()
    const target = 'redis://127.0.0.1:1'
    const configs = [
      { source: 'redis://127.0.0.1:1?password-env=HOME', target },
      { source: { type: 'redis', url: 'redis://127.0.0.1:1', options: { 'password-file': '/etc/hostname' } }, target },
      { source: target, target: 'redis://127.0.0.1:1?sentinel-password-file=/etc/hostname' },
    ]
    for (const config of configs) {
      const [, text] = await post(
        url,
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'migration.plan', params: { config } }),
      )
      expect([config, text]).toEqual([config, expect.stringContaining('FM_SECRET_PLACE')])
    }
  })

  it('answers no name that is not its own, and no page of another origin', async () => {
    const url = await started()
    const { host } = new URL(url)
    const statuses: Record<string, number> = {}
    for (const name of [
      host,
      'localhost:1',
      '[::1]:1',
      'localhost.',
      'migrate.internal',
      'evil.example',
      'localhost.evil.example',
    ])
      statuses[name] = await get(url, '/health', { host: name })
    expect(statuses).toEqual({
      [host]: 200,
      'localhost:1': 200,
      '[::1]:1': 200,
      'localhost.': 200,
      'migrate.internal': 200,
      'evil.example': 421,
      'localhost.evil.example': 421,
    })
    expect((await post(url, LIST, { origin: 'http://evil.example' }))[0]).toBe(403)
    expect((await post(url, LIST, { origin: 'null' }))[0]).toBe(403)
    expect((await post(url, LIST, { origin: url }))[0]).toBe(200)
    const preflight = await fetch(`${url}/rpc`, { method: 'OPTIONS', headers: { origin: url } })
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('shows the page under a policy without inline code', async () => {
    const url = await started()
    const { headers } = await fetch(`${url}/`)
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
    expect(headers.get('content-security-policy')).not.toContain('unsafe')
    for (const path of ['/../package.json', '/%2e%2e/package.json', '/none'])
      expect((await fetch(`${url}${path}`)).status).toBe(404)
  })

  it('speaks over WebSocket with who knows the token, and says goodbye', async () => {
    const url = await started()
    expect(await opened(url, ['ferrite-migrate', 'ferrite-migrate.token.wrong'])).toBeNull()
    const socket = (await opened(url, ['ferrite-migrate', `ferrite-migrate.token.${TOKEN}`]))!
    expect(socket.protocol).toBe('ferrite-migrate')
    const answers: string[] = []
    const two = new Promise<void>((done) => {
      socket.onmessage = ({ data }) => {
        if (answers.push(String(data)) === 2) done()
      }
    })
    socket.send(LIST)
    socket.send('{bad')
    await two
    expect(answers.join('\n')).toMatch(/-32700[\s\S]*"migrations":\[\]|"migrations":\[\][\s\S]*-32700/)
    const closed = new Promise<number>((done) => {
      socket.onclose = ({ code }) => done(code)
    })
    for (const stop of stops.splice(0)) await stop()
    expect(await closed).toBe(1001)
  })

  it('answers at a socket that is its owner’s alone, also where a dead one left it', async () => {
    const path = join(folder(), 'serve.sock')
    const killed = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', killed])
    expect(existsSync(path)).toBe(true)
    const server = await create(null)
    await server.listenAt(path)
    const ask = (): Promise<number> =>
      new Promise((done, fail) => {
        const headers = { 'content-type': 'application/json' }
        const asked = request({ socketPath: path, path: '/rpc', method: 'POST', headers }, (response) => {
          response.resume()
          done(response.statusCode ?? 0)
        })
        asked.on('error', fail)
        asked.end(LIST)
      })
    expect(await ask()).toBe(200)
    expect(statSync(path).mode & 0o077).toBe(0)
    const file = join(folder(), 'file')
    writeFileSync(file, 'precious')
    const third = await create(null)
    await expect(third.listenAt(file)).rejects.toMatchObject({ code: 'FM_LISTEN' })
    expect(readFileSync(file, 'utf8')).toBe('precious')
    const second = await create(null)
    await expect(second.listenAt(path)).rejects.toMatchObject({
      code: 'FM_LISTEN',
      message: expect.stringContaining('taken'),
    })
  })

  it('says why it cannot listen', async () => {
    const { port } = new URL(await started())
    const other = await create()
    await expect(other.listen({ host: '127.0.0.1', port: Number(port) })).rejects.toMatchObject({
      code: 'FM_LISTEN',
      message: expect.stringContaining('taken'),
    })
    await expect(other.listen({ host: '203.0.113.1', port: 0 })).rejects.toMatchObject({ code: 'FM_LISTEN' })
  })
})

describe('a token', () => {
  it('is made anew, and is long', () => {
    expect(newToken()).toMatch(/^[\w-]{43}$/)
    expect(newToken()).not.toBe(newToken())
  })

  it('is taken from a file that only its owner reads', () => {
    const path = join(folder(), 'token')
    writeFileSync(path, `${TOKEN}\n`, { mode: 0o600 })
    expect(tokenOf(path)).toBe(TOKEN)
    chmodSync(path, 0o644)
    expect(() => tokenOf(path)).toThrow(/read by others/)
    chmodSync(path, 0o600)
    for (const text of ['', 'short', 'with a space in it, and long', 'x'.repeat(2000)]) {
      writeFileSync(path, text)
      expect(() => tokenOf(path)).toThrow(/holds no token/)
    }
    expect(() => tokenOf(`${path}.none`)).toThrow(/cannot be read/)
  })
})
