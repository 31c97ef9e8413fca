import { ControlLink, keyspaceDifferences, TestServer } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function start(): Promise<TestServer> {
  const server = await TestServer.start({ version: '8.2' })
  stops.push(() => server.stop())
  return server
}

describe('keyspace differences', () => {
  it('are told, although keys come, go and change their type while they are read', async () => {
    const [first, second] = await Promise.all([start(), start()])
    const writer = new ControlLink(first.url)
    await writer.call('SET', 'only', 'here')
    let writing = true
    const written = (async () => {
      for (let i = 0; writing; i++) {
        const key = `k${i % 20}`
        await Promise.all([
          writer.call('DEL', key),
          i % 3 === 0 ? writer.call('SET', key, 'v') : writer.call('RPUSH', key, 'v'),
          writer.call('XADD', `s${i % 20}`, '*', 'f', 'v'),
          writer.call('DEL', `s${(i + 10) % 20}`),
          writer.call('DEL', key),
        ])
      }
    })()
    for (let reading = 0; reading < 30; reading++) {
      const differences = await keyspaceDifferences(first.url, second.url)
      expect(differences.map(({ key, what }) => `${key} ${what}`)).toContain('only missing in the second')
    }
    writing = false
    await written
    writer.close()
  })
})
