import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CutoverHook } from '../../dist/cutover/cutover-hook.js'

const facts = { id: 'm', source: 'redis://a', target: 'ferrite://b', keysDone: 7, changesApplied: 8, keysFailed: 9 }
const hook = (timeoutMs = 20_000, signal = new AbortController().signal) => new CutoverHook(facts, timeoutMs, signal)

let server: Server
let got: unknown = null
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => {
      got = JSON.parse(body)
      if (request.url !== '/hang') response.writeHead(request.url === '/no' ? 503 : 204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
const url = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`

describe('a command that moves the traffic', () => {
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith('FERRITE_MIGRATE_')) delete process.env[name]
  })

  it('knows the migration', async () => {
    const check = '[ "$FERRITE_MIGRATE_ID $FERRITE_MIGRATE_KEYS $FERRITE_MIGRATE_CHANGES" = "m 7 8" ]'
    expect(await hook().command(check)).toBeNull()
    expect(await hook().command('[ "$FERRITE_MIGRATE_FAILED" = 0 ]')).toBe('ended with exit code 1')
  })

  it('gets no password of the two ends', async () => {
    process.env.FERRITE_MIGRATE_SOURCE_PASSWORD = 'hidden'
    process.env.FERRITE_MIGRATE_LOG = 'warn'
    expect(await hook().command('[ -z "$FERRITE_MIGRATE_SOURCE_PASSWORD" ] && [ "$FERRITE_MIGRATE_LOG" = warn ]')).toBe(
      null,
    )
  })

  it('is told of with the end of what it said', async () => {
    const failure = await hook().command('head -c 1000 /dev/zero | tr "\\0" x; echo " the end" >&2; exit 7')
    expect(failure).toMatch(/^ended with exit code 7: x+ the end$/)
    expect(failure?.length).toBeLessThan(340)
  })

  it('that is not there has failed, and one that was ended as well', async () => {
    expect(await hook().command('/nowhere/at/all')).toMatch(/^ended with exit code 127/)
    expect(await hook().command('kill -9 $$')).toBe('ended with exit code 1')
  })

  it('is ended with its children when it takes too long, or nobody waits any more', async () => {
    const startedAt = Date.now()
    expect(await hook(100).command('sleep 60 & wait')).toBe('ended with no answer within 100 ms')
    const nobody = new AbortController()
    const ended = hook(20_000, nobody.signal).command('sleep 60')
    nobody.abort()
    expect(await ended).toBe('ended with no answer within 20000 ms')
    expect(Date.now() - startedAt).toBeLessThan(10_000)
  })
})

describe('an address that moves the traffic', () => {
  it('gets the facts', async () => {
    expect(await hook().post(url('/'))).toBeNull()
    expect(got).toEqual({
      ...{ event: 'cutover', FERRITE_MIGRATE_ID: 'm', FERRITE_MIGRATE_SOURCE: 'redis://a' },
      ...{ FERRITE_MIGRATE_TARGET: 'ferrite://b', FERRITE_MIGRATE_KEYS: '7', FERRITE_MIGRATE_CHANGES: '8' },
      FERRITE_MIGRATE_FAILED: '9',
    })
  })

  it('that refuses, or does not answer, has failed', async () => {
    expect(await hook().post(url('/no'))).toBe('answered 503')
    expect(await hook(100).post(url('/hang'))).toBe('did not answer in time')
  })
})
