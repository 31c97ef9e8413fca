import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { StateCopy, StateStore } from '../../dist/index.js'
import { directory } from '../doubles.js'
import { storedMigration } from './stored-migration.js'

const place = directory()
let made = 0
const closes: (() => void)[] = []
afterEach(() => {
  for (const close of closes.splice(0)) close()
})

/** A state directory, as commands see it and as it is copied. */
function machine() {
  const at = join(place, `copy-${made++}`)
  const [store, copy] = [new StateStore(at), new StateCopy(at)]
  closes.push(
    () => store.close(),
    () => copy.close(),
  )
  return { store, copy }
}

describe('the state of another machine', () => {
  it('is the same with events, samples, positions and passes, also when it is brought twice', () => {
    const [here, there] = [machine(), machine()]
    here.store.create({ ...storedMigration({}), plan: '{"keys":1}' })
    here.store.savePosition('m', 's', 'p:1')
    for (const text of ['one', 'two']) here.store.addEvent('m', 'note', text, 'somebody')
    const sample = { phase: 'LIVE_SYNC', keys: 1, changes: 2, rate: 0.5, lagKeys: null, lagBytes: 3, lagMs: 4 }
    for (const at of [10, 20]) here.store.addSample('m', { at, ...sample })
    const bring = (): void => {
      const run = here.copy.run('m')
      if (run === null) throw new Error('nothing to bring')
      there.copy.putRun('m', run, Date.now() + 60_000)
      const first = there.copy.eventCount('m')
      there.copy.putEvents('m', first, here.copy.eventsFrom('m', first))
      there.copy.putSamples('m', here.copy.samplesAfter('m', 0))
    }
    bring()
    here.store.addEvent('m', 'note', 'three', 'somebody')
    bring()
    bring()
    expect(there.store.get('m')).toMatchObject({ id: 'm', status: { state: 'RUNNING' } })
    expect(there.store.events('m')).toEqual(here.store.events('m'))
    expect(there.store.samples('m')).toEqual(here.store.samples('m'))
    expect(there.store.positions('m')).toEqual(new Map([['s', 'p:1']]))
  })

  it('is interrupted once nobody works on it, and finds out when another one has it', () => {
    const [here, there] = [machine(), machine()]
    here.store.create({ ...storedMigration({}), plan: '{}' })
    const run = here.copy.run('m')
    if (run === null) throw new Error('nothing to bring')
    there.copy.putRun('m', run, 1)
    expect(there.store.get('m').status.state).toBe('INTERRUPTED')
    const { owner } = here.store.get('m')
    here.copy.giveAway('m', 'another')
    expect(here.store.save('m', owner, here.store.get('m').status)).toBe(false)
  })

  it('carries requests and what comes of them', () => {
    const { copy } = machine()
    const id = copy.putRequest({ migration: 'm', kind: 'pause', args: '{}', actor: 'a', askedAt: 1 })
    expect(copy.openRequests()).toEqual([{ id, migration: 'm', kind: 'pause', args: '{}', actor: 'a', askedAt: 1 }])
    copy.putAnswer(id, 'done', '{"steps":[]}')
    expect(copy.openRequests()).toEqual([])
    expect(copy.answer(id)).toEqual({ state: 'done', answer: '{"steps":[]}' })
    expect(copy.answer(id + 1)).toBeUndefined()
  })
})
