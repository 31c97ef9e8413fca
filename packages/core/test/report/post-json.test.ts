import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { postJson } from '../../dist/report/post-json.js'

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
})
