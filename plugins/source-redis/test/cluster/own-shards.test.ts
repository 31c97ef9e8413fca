import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Source } from '@ferrite-migrate/contracts'
import { Registry, silentLogger } from '@ferrite-migrate/core'
import { RedisCluster } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..', '..')
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>
const registry = new Registry([{ name: 'source-redis', root, packageJson }])

let cluster: RedisCluster
beforeAll(async () => {
  // Long enough for a node that stands still not to count as failed.
  cluster = await RedisCluster.start({ replicas: 0, nodeTimeoutMs: 60_000 })
})
afterAll(() => cluster.stop())

function open(shards?: readonly string[]): Promise<Source> {
  const { signal } = new AbortController()
  const beside = { logger: silentLogger, signal, tempDir: tmpdir(), ...(shards === undefined ? {} : { shards }) }
  return registry.source(cluster.url, {}, {}, beside)
}

describe('one of many processes that read a cluster', () => {
  it('has its own shards only, and does not depend on the nodes of the others', async () => {
    const whole = await open()
    const [own, other] = whole.shards.map(({ id }) => id)
    expect(whole.shards).toHaveLength(3)
    await whole[Symbol.asyncDispose]()
    const part = await open([own])
    expect(part.shards.map(({ id }) => id)).toEqual([own])
    expect(part.identity).toBe(whole.identity)
    const node = cluster.nodes.find(({ id }) => id === other)
    node?.server.signal('SIGSTOP')
    try {
      expect((await part.load?.())?.latencyMs).toBeGreaterThanOrEqual(0)
    } finally {
      node?.server.signal('SIGCONT')
    }
    await part[Symbol.asyncDispose]()
  })

  it('gives all where there is none of its own any more, for whoever asks to see that', async () => {
    const source = await open(['gone'])
    expect(source.shards).toHaveLength(3)
    await source[Symbol.asyncDispose]()
  })
})
