import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { CommandServer, SentinelGroup, until } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** A sentinel that says what it is told to say. */
async function sentinelThatSays(said: () => readonly [string, number] | null): Promise<string> {
  const server = await CommandServer.start(async (words) => {
    if (String(words[0]).toUpperCase() !== 'SENTINEL') return '+OK\r\n'
    if (String(words[1]) !== 'GET-MASTER-ADDR-BY-NAME') return '*0\r\n'
    const place = said()
    if (place === null) return '*-1\r\n'
    const [host, port] = place
    return `*2\r\n$${host.length}\r\n${host}\r\n$${String(port).length}\r\n${port}\r\n`
  })
  stops.push(() => server.stop())
  return server.url.slice('redis://'.length)
}

function group(hosts: readonly string[], options = {}): ReturnType<typeof parseEndpoint> {
  const endpoint = parseEndpoint(`redis+sentinel://${hosts.join(',')}/main`, { 'connect-timeout': 2000, ...options })
  stops.push(() => endpoint.moving?.close())
  return endpoint
}

describe('a group of sentinels', { timeout: 60_000 }, () => {
  it('believes the majority of those that answer, through the map of addresses', async () => {
    const old = await sentinelThatSays(() => ['10.0.0.1', 6379])
    const [b, c] = [await sentinelThatSays(() => ['::2', 6380]), await sentinelThatSays(() => ['::2', 6380])]
    expect(await group([old, b, c]).locate()).toEqual({ host: '::2', port: 6380 })
    expect(await group([old, '127.0.0.1:1', '127.0.0.1:2']).locate()).toEqual({ host: '10.0.0.1', port: 6379 })
    const mapped = group([old, b, c], { 'node-map': '10.0.0.1:6379=a:1,[::2]:6380=db.example.com:7000' })
    expect(await mapped.locate()).toEqual({ host: 'db.example.com', port: 7000 })
    expect(mapped.moving?.advice({ host: 'db.example.com', port: 7000 })).toContain('[::2]:6380')
  })

  it('waits while they disagree, and says what each says when they go on with it', async () => {
    let agreed = false
    const a = await sentinelThatSays(() => ['10.0.0.1', 6379])
    const b = await sentinelThatSays(() => (agreed ? ['10.0.0.1', 6379] : ['10.0.0.2', 6379]))
    await expect(group([a, b]).locate()).rejects.toMatchObject({
      code: 'FM_SENTINEL_DISAGREE',
      retryable: true,
      message: expect.stringMatching(/10\.0\.0\.1:6379 \(.*10\.0\.0\.2:6379 \(/),
    })
    const asked = group([a, b]).locate()
    agreed = true
    expect(await asked).toEqual({ host: '10.0.0.1', port: 6379 })
  })

  it('leaves out a sentinel that does not know the name, as long as another one does', async () => {
    const a = await sentinelThatSays(() => null)
    const b = await sentinelThatSays(() => ['10.0.0.1', 6379])
    expect(await group([a, b]).locate()).toEqual({ host: '10.0.0.1', port: 6379 })
    await expect(group([a]).locate()).rejects.toMatchObject({ code: 'FM_SENTINEL_NAME', retryable: false })
  })

  it('destroys a connection to a primary that is replaced, and asks for the new one', async () => {
    const sentinels = await SentinelGroup.start({ password: 'of-data', sentinelPassword: 'of-sentinels' })
    stops.push(() => sentinels.stop())
    const endpoint = parseEndpoint(sentinels.url, { 'sentinel-password': 'of-sentinels' })
    stops.push(() => endpoint.moving?.close())
    const former = await sentinels.primary()
    const link = await RedisLink.open(endpoint)
    expect(await endpoint.locate()).toEqual({ host: '127.0.0.1', port: former.port })
    await sentinels.failover()
    expect(await link.closed).toMatchObject({ code: 'FM_CONNECT_LOST', retryable: true })
    // The sentinels learn of it one after the other.
    await until(async () => (await sentinels.primary()) !== former, 'another primary at every sentinel')
    const next = await sentinels.primary()
    const again = await RedisLink.open(endpoint)
    expect(again.endpoint.label).toContain(`127.0.0.1:${next.port}`)
    // A sentinel that is gone is not missed.
    await sentinels.kill(sentinels.sentinels[0])
    expect(await endpoint.locate()).toEqual({ host: '127.0.0.1', port: next.port })
    again.close()
    endpoint.moving?.close()
    await expect(endpoint.locate()).rejects.toMatchObject({ code: 'FM_INTERRUPTED' })
  })

  it('takes no replica for a primary, whatever a sentinel says', async () => {
    const sentinels = await SentinelGroup.start()
    stops.push(() => sentinels.stop())
    const primary = await sentinels.primary()
    const replica = sentinels.nodes.find((node) => node !== primary)
    const liar = await sentinelThatSays(() => ['127.0.0.1', replica?.port ?? 0])
    await expect(RedisLink.open(group([liar]))).rejects.toMatchObject({ code: 'FM_CONNECT_LOST', retryable: true })
    await until(async () => (await replica?.role()) === 'slave', 'nothing changed')
  })
})
