import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { command, differences, stateDir } from './run.js'
import { start } from './servers.js'
import { cli, Tool } from './tool.js'

let source: Awaited<ReturnType<typeof start>>
let target: Awaited<ReturnType<typeof start>>
const tools: Tool[] = []
beforeEach(async () => {
  source = await start({ args: ['--repl-backlog-size', '64mb'] })
  target = await start()
  await command(source.url, 'SET', 'n', '0')
})
afterEach(async () => {
  for (const one of tools.splice(0)) {
    one.child.kill('SIGCONT')
    await one.kill()
  }
})
function live(id: string, state: string[], ...more: string[]): Tool {
  const made = new Tool(['migrate', '--id', id, '-s', source.url, '-t', target.url, '-m', 'live', ...state, ...more])
  tools.push(made)
  return made
}
const rights = async (): Promise<string> => String(await command(source.url, 'ACL', 'LIST'))
const events = async (): Promise<string> =>
  String(((await command(source.url, 'CONFIG', 'GET', 'notify-keyspace-events')) as Buffer[])[1])

describe('two processes', () => {
  it('of one migration are told apart at the target, whatever their state directories know', async () => {
    const first = live('two', ['--state-dir', stateDir()])
    await first.says('LIVE_SYNC')
    const second = live('two', ['--state-dir', stateDir()])
    expect(await second.over).toBe(2)
    expect(second.output).toContain('FM_ID_TAKEN')
    for (let i = 0; i < 20; i++) await command(source.url, 'INCR', 'n')
    await until(async () => String(await command(target.url, 'GET', 'n')) === '20', 'what was counted')
  })

  it('that bring the same changes under two names would make each twice: the second is refused', async () => {
    const state = ['--state-dir', stateDir()]
    const first = live('one', state)
    await first.says('LIVE_SYNC')
    const second = live('other', state)
    expect(await second.over).toBe(1)
    expect(second.output).toContain('FM_TARGET_TAKEN')
    expect(second.output).toContain('the migration one writes to the target now')
    // Nothing of it has happened, so there is nothing to go on with.
    const listed = new Tool(['list', '--json', ...state])
    tools.push(listed)
    expect(await listed.over).toBe(0)
    expect(listed.output).not.toContain('"other"')
    // Other keys of the same source are nobody's business.
    const third = live('third', state, '--filter', 'other:*')
    await third.says('LIVE_SYNC')
  })

  it('of which one puts the target back are not both right: who stood still meanwhile ends', async () => {
    for (let from = 0; from < 60_000; from += 1000)
      await command(source.url, 'MSET', ...Array.from({ length: 1000 }, (_, i) => [`k${from + i}`, 'v']).flat())
    await command(target.url, 'SET', 'there', 'before')
    const state = ['--state-dir', stateDir()]
    const run = live('back', state)
    await run.says('LIVE_SYNC')
    run.child.kill('SIGTERM')
    await run.over
    const back = new Tool(['rollback', '--id', 'back', '--yes', ...state])
    tools.push(back)
    await until(async () => Number(await command(target.url, 'DBSIZE')) < 60_000, 'the rollback')
    back.child.kill('SIGSTOP')
    // As long as it may be alive nobody goes on beside it; then it is not waited for.
    let again = new Tool(['migrate', '--resume', 'back', '--exit', ...state])
    expect(await again.over).toBe(2)
    expect(again.output).toMatch(/FM_ID_TAKEN|locked/)
    for (let code: number | null = 2; code === 2; ) {
      again = new Tool(['migrate', '--resume', 'back', '--exit', ...state])
      code = await again.over
      // It may have been stopped while it held the journal.
      if (!again.output.includes('locked')) continue
      back.child.kill('SIGCONT')
      await sleep(20)
      back.child.kill('SIGSTOP')
    }
    back.child.kill('SIGCONT')
    expect(await back.over).toBe(1)
    expect(back.output).toContain('FM_RUN_TAKEN')
    expect(await differences(source.url, target.url)).toEqual([
      expect.objectContaining({ kind: 'missing-source', key: 'there' }),
    ])
  })
})

describe('what two migrations change at one source', () => {
  it('is not taken for its own: a fence of rules is refused where one stands', async () => {
    const state = ['--state-dir', stateDir()]
    const before = await rights()
    for (const id of ['a', 'b']) await live(id, state, '--filter', `${id}:*`).says('LIVE_SYNC')
    const first = new Tool(['cutover', '--id', 'a', '--fence', 'acl', '--on-cutover', 'true', '--hold', '6s', ...state])
    tools.push(first)
    await first.says(/done/)
    const second = await cli(['cutover', '--id', 'b', '--fence', 'acl', ...state])
    expect([second.code, second.output]).toEqual([1, expect.stringContaining('FM_FENCE_UNAVAILABLE')])
    expect(await first.over).toBe(0)
    expect(await rights()).toBe(before)
  })

  it('is put back under another spelling of the address', async () => {
    const state = ['--state-dir', stateDir()]
    const before = await rights()
    const run = live('spelled', state)
    await run.says('LIVE_SYNC')
    tools.push(new Tool(['cutover', '--id', 'spelled', '--fence', 'acl', '--on-cutover', 'sleep 60', ...state]))
    await until(async () => (await rights()) !== before, 'the fence')
    for (const one of tools) await one.kill()
    const url = source.url.replace('127.0.0.1', 'localhost')
    await cli(['migrate', '-s', url, '-t', target.url, '-m', 'snapshot', '--db', '3', ...state])
    expect(await rights()).toBe(before)
  })

  it('stays for the one that needs it still: notifications are switched off by the last', async () => {
    const state = ['--state-dir', stateDir()]
    const capture = ['--capture', 'notifications']
    const first = live('a', state, '--filter', 'a:*', ...capture)
    await first.says('LIVE_SYNC')
    const second = live('b', state, '--filter', 'b:*', ...capture)
    await second.says('LIVE_SYNC')
    first.child.kill('SIGTERM')
    await first.over
    expect(await events()).not.toBe('')
    await command(source.url, 'SET', 'b:1', 'told')
    await until(async () => String(await command(target.url, 'GET', 'b:1')) === 'told', 'the change')
    second.child.kill('SIGKILL')
    await second.over
    expect(await events()).not.toBe('')
    await cli(['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--db', '3', ...state])
    expect(await events()).toBe('')
  })
})
