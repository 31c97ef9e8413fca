import { findServer, TestServer } from '@ferrite-migrate/servers'
import { expect, it } from 'vitest'
import { command, differences, migration } from './run.js'

it('a command that the target refuses, last before the stream ends, is not lost', async (context) => {
  const old = await findServer('6.2')
  if ('reason' in old) return context.skip(old.reason)
  const source = await TestServer.start({ version: '7.0' })
  const target = await TestServer.start({ version: '6.2' })
  const run = migration({ mode: 'live', source: source.url, target: target.url })
  const done = run.start()
  await new Promise<void>((live) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && live()))
  await new Promise((resolve) => setTimeout(resolve, 500))
  await command(source.url, 'SET', 'k', 'v')
  // Redis 7 sends PEXPIREAT with its flag, which 6.2 does not take.
  await command(source.url, 'PEXPIRE', 'k', '10000000', 'NX')
  await new Promise((resolve) => setTimeout(resolve, 20))
  run.stop()
  await done
  expect(await differences(source.url, target.url)).toEqual([])
  await source.stop()
  await target.stop()
})
