import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { METRICS, type MetricSample } from '@ferrite-migrate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { collectorUrl } from '../src/collector-url.js'
import { openMeasuring } from '../src/open-measuring.js'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

interface Pushed {
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A collector that answers with a status. */
async function collector(status: () => number): Promise<{ place: string; pushed: Pushed[] }> {
  const pushed: Pushed[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text) => {
      body += text
    })
    request.on('end', () => {
      pushed.push({ url: request.url, headers: request.headers, body })
      response.writeHead(status(), { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  stops.push(() => {
    server.closeAllConnections()
    return new Promise((done) => server.close(done))
  })
  return { place: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pushed }
}

const metric = (name: string) => METRICS.find((one) => one.name === name)!
const SAMPLES: readonly MetricSample[] = [
  { metric: metric('ferrite_migrate_keys_written_total'), labels: {}, value: 5 },
  { metric: metric('ferrite_migrate_shard_lag_bytes'), labels: { shard: 'a' }, value: 7 },
  { metric: metric('ferrite_migrate_shard_lag_bytes'), labels: { shard: 'b' }, value: Number.NaN },
]

describe('what is pushed to a collector', () => {
  it('has the names and labels of the table, at the latest when the run is over', async () => {
    const { place, pushed } = await collector(() => 200)
    const told: string[] = []
    const measuring = await openMeasuring(
      place,
      () => SAMPLES,
      (text) => told.push(text),
    )
    expect(measuring.said).toBe(`Metrics go to ${place}/v1/metrics`)
    await measuring.close()
    expect(pushed).toHaveLength(1)
    const { url, headers, body } = pushed[0]
    expect([url, headers['content-type']]).toEqual(['/v1/metrics', 'application/json'])
    const { resourceMetrics } = JSON.parse(body)
    expect(resourceMetrics[0].resource.attributes).toContainEqual({
      key: 'service.name',
      value: { stringValue: 'ferrite-migrate' },
    })
    const { metrics } = resourceMetrics[0].scopeMetrics[0]
    const of = (name: string) => metrics.find((one: { name: string }) => one.name === name)
    expect(of('ferrite_migrate_keys_written_total').sum).toMatchObject({ isMonotonic: true, aggregationTemporality: 2 })
    expect(of('ferrite_migrate_shard_lag_bytes')).toMatchObject({
      unit: 'By',
      gauge: { dataPoints: [{ attributes: [{ key: 'shard', value: { stringValue: 'a' } }] }] },
    })
    expect(told).toEqual([])
  })

  it('tells of a collector that takes nothing, and does not wait for it', async () => {
    const { place } = await collector(() => 400)
    const told: string[] = []
    const measuring = await openMeasuring(
      place,
      () => SAMPLES,
      (text) => told.push(text),
    )
    await measuring.close()
    expect(told).toEqual([expect.stringMatching(/takes no metrics .* the migration goes on/)])
  })
})

describe('the address of a collector', () => {
  it('is a URL without a password', () => {
    expect(collectorUrl('https://a:4318')).toBe('https://a:4318/v1/metrics')
    expect(collectorUrl('http://a/otlp/v1/metrics')).toBe('http://a/otlp/v1/metrics')
    for (const wrong of ['collector:4318', 'ftp://a', 'http://', 'http://user:secret@a'])
      expect(() => collectorUrl(wrong)).toThrow(expect.objectContaining({ code: 'FM_OPTION_VALUE' }))
    expect(() => collectorUrl('http://user:secret@a')).not.toThrow(/secret/)
  })
})
