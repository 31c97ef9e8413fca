import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../dist/config/config-file.js'
import { askedText } from '../dist/control/asked-text.js'
import { postJson } from '../dist/report/post-json.js'
import { convert } from '../dist/transform/conversion.js'

let server: Server
let last: { authorization: string | undefined; body: string } | null = null

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => {
      last = { authorization: request.headers.authorization, body }
      if (request.url === '/redirect') response.writeHead(302, { location: 'http://127.0.0.1:1/elsewhere' }).end()
      else if (request.url === '/broken') response.writeHead(500).end()
      else if (request.url === '/cut') request.socket.destroy()
      else if (request.url !== '/hang') response.end('ok')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

describe('a notification', () => {
  const post = (path: string, ms = 5000): Promise<string | null> => {
    const { port } = server.address() as AddressInfo
    const url = path.startsWith('/') ? `http://127.0.0.1:${port}${path}` : path
    return postJson(url.replace('PORT', String(port)), { text: 'hello' }, AbortSignal.timeout(ms))
  }

  it.each([
    ['/', null],
    ['/broken', 'answered 500'],
    ['/redirect', 'answers with a redirect, which is not followed'],
    ['/cut', 'ended the connection'],
    ['no address', 'has an address that is no http or https URL'],
    ['ftp://127.0.0.1/secret', 'has an address that is no http or https URL'],
    ['http://127.0.0.1:1/secret', 'has a port that is not allowed'],
    ['http://127.0.0.1:47/secret', /refuses connections|not allowed/],
    ['https://127.0.0.1:PORT/secret', 'does not speak TLS'],
    ['http://nowhere.invalid/secret', 'has a host name that is not known'],
  ])('to %s is told as %s, never with its address', async (path, told) => {
    const outcome = await post(path)
    if (told instanceof RegExp) expect(outcome).toMatch(told)
    else expect(outcome).toBe(told)
    expect(outcome ?? '').not.toContain('secret')
  })

  it('that nobody answers ends in time', async () => {
    expect(await post('/hang', 300)).toBe('did not answer in time')
  })

  it('may have its login in the address', async () => {
    expect(await post('http://us%40er:pass@127.0.0.1:PORT/')).toBeNull()
    expect(last).toEqual({
      authorization: `Basic ${Buffer.from('us@er:pass').toString('base64')}`,
      body: '{"text":"hello"}',
    })
  })

  it('whose secret is not in the environment is switched off, and nothing else may be missing', () => {
    const text = (slack: string): string => `source: redis://a\ntarget: redis://b\n${slack}`
    const config = parseConfig(text('notifications:\n  slack: ${NOT_SET_1}\n  webhook: ${SET}\n'), 'm.yaml', {
      SET: 'http://h/',
    })
    expect(config.notifications).toEqual({
      webhook: 'http://h/',
      off: ['Slack: the environment variable NOT_SET_1 is not set'],
    })
    const { notifications } = parseConfig(
      text('notifications:\n  email: a@b\n  smtp:\n    password: ${NOT_SET_2}\n'),
      'm.yaml',
      {},
    )
    expect(notifications?.email).toBeUndefined()
    expect(() => parseConfig(text('id: ${NOT_SET_3}\n'), 'm.yaml', {})).toThrow(/NOT_SET_3 is not set/)
  })
})

describe('words', () => {
  it('of the audit trail hold no secret and no JSON', () => {
    expect(askedText('verify', {})).toBe('asked for a verification')
    expect(
      askedText('cutover', {
        dryRun: true,
        verify: true,
        holdMs: 3000,
        hook: 'curl http://secret',
        webhook: 'http://s',
      }),
    ).toBe('asked for a cutover (dry run; comparing everything; held for 3 s; with a hook; with a webhook)')
    expect(askedText('cutover', { unheard: 'of' })).toBe('asked for a cutover')
  })

  it.each([
    ['{"a":1}', /looks like JSON, not msgpack/],
    ['[1,2]', /looks like JSON, not msgpack/],
    ['null', /looks like JSON, not msgpack/],
    ['5', /it is the text "5", not msgpack/],
    ['A', /it is the text "A", not msgpack/],
    ['53', /looks like JSON, not msgpack/],
    ['hello world', /it is text, not msgpack/],
    ['', /it is empty, not msgpack/],
    ['\x81\xa1', /ends too early/],
    ['\x81\xa1a\x01\x02', /bytes follow/],
    ['\xc1\x00', /msgpack/],
  ])('of a value that is no msgpack are ours: %j', (text, told) => {
    let said = ''
    try {
      convert(Buffer.from(text, 'latin1'), 'msgpack', 'json')
    } catch (error) {
      said = (error as Error).message
    }
    expect(said).toMatch(told)
    expect(said).not.toMatch(/buffer|MessagePack|token|header check/i)
  })
})
