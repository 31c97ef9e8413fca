import { testTarget } from '@ferrite-migrate/conformance'
import { RedisCluster, type ServerVersion } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { openTarget, targetMissing } from '../target-server.js'

describe.each(['7.0', 'valkey-9.1'] as ServerVersion[])('over a cluster of %s', async (version) => {
  const missing = await targetMissing(version)
  if (missing !== null) {
    it('conforms', (test) => test.skip(missing))
    return
  }
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await RedisCluster.start({ version, replicas: 0 })
  })
  afterAll(() => cluster?.stop())
  testTarget({ describe, it }, 'cluster', async () => {
    await cluster.waitUntilOk()
    for (const node of await cluster.primaries()) await node.command('FLUSHALL')
    return { target: await openTarget(cluster.url), lose: () => restarted(cluster) }
  })
})

/** The nodes keep no file: what was written is gone. */
async function restarted(cluster: RedisCluster): Promise<void> {
  for (const node of cluster.nodes) {
    await cluster.kill(node)
    await cluster.restart(node)
  }
  await cluster.waitUntilOk()
}
