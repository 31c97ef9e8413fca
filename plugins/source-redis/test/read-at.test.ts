import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSlotsAt } from '../dist/read-at.js'

let server: TestServer
let link: RedisLink
beforeAll(async () => {
  server = await TestServer.start()
  link = await RedisLink.open(parseEndpoint(server.url))
})
afterAll(async () => {
  link.close()
  await server.stop()
})

/** The same connection, where each script is answered so. */
function answering(reply: Reply): RedisLink {
  return Object.assign(Object.create(link) as RedisLink, { pipeline: async () => [reply] })
}

describe('keys that a script reads', () => {
  it('come with the place in the stream, what is not there as nothing', async () => {
    await link.call('SET', 'a', '1', 'PX', 100_000)
    const keys = ['a', 'none'].map((name) => ({ db: 0, key: Buffer.from(name) }))
    const { records, offset } = await readSlotsAt(link, keys)
    expect(records).toMatchObject([{ key: keys[0].key, expireAt: expect.any(Number) }, null])
    expect(offset).toBeGreaterThanOrEqual(0)
  })

  it('are asked for again where the cluster is down for the moment, in whatever words', async () => {
    for (const text of [
      'CLUSTERDOWN The cluster is down',
      'ERR Script attempted to execute a command while the cluster is down script: 1f, on @user_script:11.',
      'LOADING Redis is loading the dataset in memory',
      'BUSY Redis is busy running a script',
    ])
      await expect(readSlotsAt(answering(new ReplyError(text)), [])).rejects.toMatchObject({ retryable: true })
    const rights = answering(new ReplyError("NOPERM this user has no permissions to run the 'eval' command"))
    await expect(readSlotsAt(rights, [])).rejects.toMatchObject({ code: 'FM_AUTH_RIGHTS', retryable: false })
  })
})
