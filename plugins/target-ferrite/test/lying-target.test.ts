import type { ChangeBatch, ChangeRecord, WriteResult } from '@ferrite-migrate/contracts'
import { commandBytes } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { CommandServer, TestServer } from '@ferrite-migrate/servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openTarget } from './target-server.js'

const VICTIM = 'victim'
type Lie = 'nil' | 'nothing' | 'fewer' | 'closes'

let real: TestServer
let look: RedisLink
beforeAll(async () => {
  real = await TestServer.start()
  look = await RedisLink.open(parseEndpoint(real.url))
})
afterAll(async () => {
  look.close()
  await real.stop()
})

let lie: Lie
let before: CommandServer
beforeEach(async () => {
  await look.call('FLUSHALL')
  before = await CommandServer.start(async (words, session) => {
    const name = String(words[0]).toUpperCase()
    if (words.some((word) => String(word) === VICTIM)) session.notes.set('hit', 'yes')
    if (name !== 'EXEC' || !session.notes.delete('hit')) return session.forward(words)
    if (lie === 'fewer') {
      // It does all of it and tells of one command less.
      const reply = await session.forward(words)
      const count = Number(/^\*(\d+)/.exec(reply.toString('latin1'))?.[1])
      return Buffer.concat([Buffer.from(`*${count - 1}\r\n`), Buffer.from('+OK\r\n'.repeat(count - 1))])
    }
    if (lie === 'closes') {
      await session.forward(words)
      session.socket.destroy()
      return null
    }
    await session.forward(['DISCARD'])
    return lie === 'nil' ? '*-1\r\n' : '*0\r\n'
  }, real.url)
})
afterEach(() => before.stop())

function set(key: string): ChangeRecord {
  const argv = ['SET', key, '1'].map((word) => Buffer.from(word))
  return { db: 0, name: 'SET', argv, resp: commandBytes(argv), receivedAt: Date.now() }
}
const changes = (...keys: string[]): ChangeBatch => ({ kind: 'changes', lane: 0, records: keys.map(set) })
const at = (position: string) => ({ migration: 'm', shard: 's', position, dirty: [] })

describe.each(['nil', 'nothing', 'fewer'] as Lie[])('a target whose EXEC answers %s', (kind) => {
  beforeEach(() => {
    lie = kind
  })

  it('is not believed, and nothing that waits behind is written', async () => {
    await using target = await openTarget(before.url)
    const first = target.write(changes('before'), at('p:1:0'))
    const second = target.write(changes(VICTIM), at('p:2:0'))
    const third = target.write(changes('behind'), at('p:3:0'))
    const [one, two, three] = await Promise.allSettled([first, second, third])
    expect((one as PromiseFulfilledResult<WriteResult>).value).toMatchObject({ written: 1, failed: [] })
    expect(two).toMatchObject({ status: 'rejected', reason: { code: 'FM_TARGET_NOT_EXECUTED' } })
    expect(three.status).toBe('rejected')
    expect(await look.call('EXISTS', 'behind')).toBe(0)
  })
})

it('a connection that ends at EXEC is for the checkpoint to judge: nothing behind it is written', async () => {
  lie = 'closes'
  await using target = await openTarget(before.url)
  const [one, two] = await Promise.allSettled([
    target.write(changes(VICTIM), at('p:1:0')),
    target.write(changes('behind'), at('p:2:0')),
  ])
  expect(one).toMatchObject({ status: 'rejected', reason: { code: 'FM_TARGET_LOST', retryable: true } })
  expect(two.status).toBe('rejected')
  expect(await look.call('EXISTS', 'behind')).toBe(0)
  expect(await target.checkpoint('m', 's')).toMatchObject({ position: 'p:1:0' })
})
