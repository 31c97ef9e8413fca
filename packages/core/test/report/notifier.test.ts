import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { resolveConfig } from '../../dist/index.js'
import { Notifier, slackText } from '../../dist/report/notifier.js'
import { status } from '../state/stored-migration.js'

let server: Server
let got: { path: string | undefined; body: Record<string, unknown> }[]
let said: string[]
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => {
      got.push({ path: request.url, body: JSON.parse(body) })
      response.writeHead(request.url === '/broken' ? 500 : 200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  got = []
  said = []
})
const url = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
function notifier(notifications: Parameters<typeof resolveConfig>[0]['notifications']): Notifier {
  const { notifications: config } = resolveConfig({ source: 'a://', target: 'b://', notifications })
  return new Notifier(config, { log: (level, text) => said.push(`${level} ${text}`), enabled: () => true })
}

describe('notifications', () => {
  it('go every way that was given, to people as text and to programs as facts', async () => {
    const one = notifier({ slack: url('/slack'), webhook: url('/hook') })
    one.send('completed', 'all <done> & well', status())
    await one.flush()
    expect(got.find(({ path }) => path === '/slack')?.body).toEqual({
      text: 'ferrite-migrate m: all &lt;done&gt; &amp; well',
    })
    expect(got.find(({ path }) => path === '/hook')?.body).toMatchObject({
      ...{ event: 'completed', id: 'm', text: 'all <done> & well', status: { id: 'm', keysDone: 3 } },
    })
    expect(said).toEqual([])
  })

  it('that are not delivered are told of once, without the address, and stop nothing', async () => {
    const one = notifier({ webhook: url('/broken') })
    for (let i = 0; i < 3; i++) one.send('live', 'x', status())
    await one.flush()
    expect(said).toEqual([
      'warn a notification by the webhook was not delivered: it answered 500',
      'warn 3 notifications by the webhook were not delivered',
    ])
    await one.flush()
    expect(said).toHaveLength(2)
  })

  it('that are switched off say why', () => {
    notifier({ off: ['Slack: its value is empty'] })
    expect(said).toEqual(['warn notifications are off by Slack: its value is empty'])
  })

  it('in Slack are no markup', () => {
    expect(slackText('<!channel> & <http://x|y>')).toBe('&lt;!channel&gt; &amp; &lt;http://x|y&gt;')
  })
})
