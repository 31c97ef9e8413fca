import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ControlQueue } from '../../dist/index.js'
import { directory } from '../doubles.js'

const place = directory()
let made = 0
let at: string
let queue: ControlQueue
beforeEach(() => {
  at = join(place, String(made++))
  queue = new ControlQueue(at)
})
afterEach(() => queue.close())
const secrets = (): string[] => readdirSync(at).filter((name) => name.startsWith('ask-'))

describe('a queue of requests', () => {
  it('gives each request once, the oldest first, to the migration that it is for', () => {
    const other = queue.ask('other', 'stop')
    const first = queue.ask('m', 'pause')
    const second = queue.ask('m', 'cutover', { maxLag: 5 })
    expect(queue.take('m')).toMatchObject({ id: first, kind: 'pause', state: 'taken', args: {} })
    expect(queue.take('m')).toMatchObject({ id: second, kind: 'cutover', args: { maxLag: 5 } })
    expect(queue.take('m')).toBeUndefined()
    expect(queue.get(other)).toMatchObject({ state: 'open', migration: 'other', answer: { steps: [] } })
    expect(queue.get(999)).toBeUndefined()
  })

  it('is one for all processes of a directory', () => {
    const id = queue.ask('m', 'verify')
    const server = new ControlQueue(at)
    expect(server.take('m')?.id).toBe(id)
    server.answer(id, 'done', { steps: [{ at: 1, name: 'x', text: 'y' }], result: { equal: true } })
    server.close()
    expect(queue.get(id)).toMatchObject({
      state: 'done',
      actor: expect.stringContaining(`pid ${process.pid}`),
      answer: { steps: [{ name: 'x' }], result: { equal: true } },
    })
  })

  it('keeps secrets out of the database, for its user alone, and no longer than needed', () => {
    queue.ask('m', 'cutover', { hook: 'curl http://hidden', webhook: 'http://hidden', maxLag: 5 })
    expect(secrets()).toHaveLength(1)
    expect(statSync(join(at, secrets()[0])).mode & 0o077).toBe(0)
    for (const name of readdirSync(at).filter((one) => one.startsWith('state.db')))
      expect(readFileSync(join(at, name)).includes('hidden')).toBe(false)
    expect(queue.take('m')?.args).toEqual({ hook: 'curl http://hidden', webhook: 'http://hidden', maxLag: 5 })
    expect(secrets()).toEqual([])
  })

  it('does nothing by halves when the file of a secret is gone', () => {
    const lost = queue.ask('m', 'cutover', { hook: 'x' })
    rmSync(join(at, secrets()[0]))
    const next = queue.ask('m', 'pause')
    expect(queue.take('m')?.id).toBe(next)
    expect(queue.get(lost)).toMatchObject({ state: 'failed', answer: { error: { code: 'FM_STATE_DIR' } } })
  })

  it('lets what nobody took be withdrawn, once', () => {
    const open = queue.ask('m', 'cutover', { hook: 'x' })
    const taken = queue.ask('n', 'pause')
    queue.take('n')
    expect([queue.withdraw(open), queue.withdraw(open), queue.withdraw(taken)]).toEqual([true, false, false])
    expect([secrets(), queue.get(open)]).toEqual([[], undefined])
  })

  it('forgets what was asked of a former process', () => {
    queue.ask('m', 'cutover', { hook: 'x' })
    const done = queue.ask('m', 'pause')
    queue.answer(done, 'done', { steps: [] })
    queue.forgetOpen('m')
    expect([queue.take('m'), secrets(), queue.get(done)?.state]).toEqual([undefined, [], 'done'])
  })
})

describe('a schedule', () => {
  it('is one for a migration: a later one takes its place', () => {
    queue.schedule('m', 1000, { hook: 'x' })
    queue.schedule('m', 2000, { hook: 'y', maxLag: 1 })
    expect(secrets()).toHaveLength(1)
    expect(queue.scheduled('m')).toMatchObject({ at: 2000 })
    expect(queue.scheduled('m')?.args()).toEqual({ hook: 'y', maxLag: 1 })
    expect(queue.scheduled('other')).toBeUndefined()
  })

  it('can be taken back', () => {
    queue.schedule('m', 1000, { hook: 'x' })
    expect([queue.cancel('m'), queue.cancel('m'), queue.scheduled('m'), secrets()]).toEqual([
      true,
      false,
      undefined,
      [],
    ])
  })
})
