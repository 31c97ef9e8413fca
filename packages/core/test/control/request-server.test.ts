import { join } from 'node:path'
import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RequestServer, type Served } from '../../dist/control/request-server.js'
import { ControlQueue, type CutoverResult, type VerifyReport } from '../../dist/index.js'
import { directory, turn } from '../doubles.js'

const place = directory()
let made = 0
let at: string
let asking: ControlQueue
let served: Recorded
let told: string[]
let phase: string

const result: CutoverResult = {
  ...{ dryRun: false, downtimeMs: 5, fence: 'pause', verification: null, slipped: { keys: [], more: false } },
}
const report: VerifyReport = {
  ...{ compared: 1, matching: 1, mismatched: 0, missingSource: 0, missingTarget: 0, differences: [], equal: true },
  ...{ complete: true, leftOut: 0, foreign: 0, nothing: false, at: 0 },
}

/** A migration that only notes what it is asked for. */
class Recorded implements Served {
  readonly id = 'm'
  readonly done: string[] = []
  readonly finish = Promise.withResolvers<CutoverResult>()

  pause(): void {
    this.done.push('pause')
  }

  resume(): void {
    this.done.push('resume')
  }

  stop(): void {
    this.done.push('stop')
  }

  callOff(): boolean {
    return false
  }

  async verify(): Promise<VerifyReport> {
    return report
  }

  cutover: Served['cutover'] = (options, onStep) => {
    this.done.push(`cutover ${JSON.stringify(options)}`)
    onStep?.({ at: 1, name: 'lag', text: 'nothing is behind' })
    return this.finish.promise
  }
}

beforeEach(() => {
  at = join(place, String(made++))
  asking = new ControlQueue(at)
  served = new Recorded()
  told = []
  phase = 'LIVE_SYNC'
})
afterEach(() => {
  vi.useRealTimers()
  asking.close()
})
const logger: Logger = { log: (level, text) => told.push(`${level} ${text}`), enabled: () => true }
const serve = (fresh = false): RequestServer =>
  new RequestServer(served, new ControlQueue(at), fresh, logger, {
    phase: () => phase,
    note: (type, text) => told.push(`${type}: ${text}`),
    event: (type, text) => told.push(`${type}: ${text}`),
  })

describe('what is asked of a running migration', () => {
  it('is done in its order and answered', () => {
    const server = serve()
    const ids = [
      asking.ask('m', 'pause'),
      asking.ask('m', 'resume'),
      asking.ask('m', 'stop'),
      asking.ask('m', 'call-off'),
    ]
    server.listen()
    expect(served.done).toEqual(['pause', 'resume', 'stop'])
    expect(ids.map((id) => asking.get(id)?.state)).toEqual(['done', 'done', 'done', 'done'])
    expect(asking.get(ids[3])?.answer.result).toEqual({ calledOff: false })
    expect(told[0]).toBe('asked-pause: asked to pause')
    server.close()
  })

  it('is answered step by step where it takes its time', async () => {
    const server = serve()
    const id = asking.ask('m', 'cutover', { maxLag: 7 })
    server.listen()
    expect(asking.get(id)).toMatchObject({ state: 'taken', answer: { steps: [{ name: 'lag' }] } })
    served.finish.resolve(result)
    await turn()
    expect(asking.get(id)).toMatchObject({ state: 'done', answer: { steps: [{ name: 'lag' }], result } })
    expect(served.done).toEqual(['cutover {"maxLag":7}'])
    const verify = asking.ask('m', 'verify')
    server.listen()
    await turn()
    expect(asking.get(verify)?.answer.result).toMatchObject({ compared: 1, equal: true })
    server.close()
  })

  it.each([
    [
      new MigrateError('FM_CUTOVER_LAG', 'too far', 'Wait.'),
      { code: 'FM_CUTOVER_LAG', message: 'too far', hint: 'Wait.' },
    ],
    [new Error('broken'), { code: 'FM_INTERNAL', message: 'broken' }],
  ])('and fails is answered with %s', async (error, answer) => {
    const server = serve()
    const id = asking.ask('m', 'cutover')
    server.listen()
    served.finish.reject(error)
    await turn()
    expect(asking.get(id)).toMatchObject({ state: 'failed', answer: { error: answer } })
    server.close()
  })

  it('of a former process is not done', () => {
    const id = asking.ask('m', 'stop')
    const server = serve()
    server.listen()
    expect([served.done, asking.get(id)]).toEqual([[], undefined])
    server.close()
  })

  it('is not looked for any more once it is closed', () => {
    const server = serve()
    server.close()
    asking.ask('m', 'pause')
    server.listen()
    expect([served.done, told]).toEqual([[], []])
  })
})

describe('a scheduled cutover', () => {
  it('starts when it is due and the migration follows its source, once', async () => {
    const server = serve()
    asking.schedule('m', Date.now() + 60_000, { maxLag: 7 })
    server.listen()
    expect([server.cutoverAt, served.done]).toEqual([expect.any(Number), []])
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
    phase = 'INITIAL_SYNC'
    server.listen()
    expect(served.done).toEqual([])
    phase = 'LIVE_SYNC'
    server.listen()
    server.listen()
    expect(served.done).toEqual(['cutover {"maxLag":7}'])
    expect([server.cutoverAt, asking.scheduled('m')]).toEqual([null, undefined])
    expect(told[0]).toMatch(/^cutover-due: the cutover scheduled by .* starts$/)
    served.finish.reject(new Error('it is told elsewhere'))
    await turn()
    server.close()
  })

  it('is not made up for when it was missed', () => {
    const server = serve()
    asking.schedule('m', Date.now() - 6 * 60_000, {})
    server.listen()
    expect([served.done, asking.scheduled('m')]).toEqual([[], undefined])
    expect(told[0]).toMatch(/^cutover-missed: /)
    server.close()
  })

  it('of an earlier migration of this name does not count', () => {
    asking.schedule('m', Date.now(), {})
    const server = serve(true)
    server.listen()
    expect(served.done).toEqual([])
    server.close()
  })
})
