import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StateStore } from '../../dist/index.js'
import { RollbackTurn } from '../../dist/rollback/rollback-turn.js'
import { directory } from '../doubles.js'
import { status, storedMigration } from '../state/stored-migration.js'

const place = directory()

const REPORT = {
  ...{
    dryRun: false,
    removed: 1,
    restored: 0,
    unchanged: 0,
    kept: 3,
    keptExamples: ['a'],
    failed: 0,
    interrupted: false,
  },
}

describe('the turn of a rollback', () => {
  function stored(name: string): StateStore {
    const store = new StateStore(join(place, name))
    store.create({ ...storedMigration({ status: status({ state: 'FAILED', phase: 'FAILED' }) }), plan: '{"keys":1}' })
    return store
  }

  it('is one process’s alone: nobody goes on meanwhile', () => {
    const store = stored('alone')
    const turn = new RollbackTurn(store, store.get('m'))
    expect(turn.claim).toMatchObject({ epoch: 2, former: 'one' })
    expect(store.get('m').status).toMatchObject({ state: 'RUNNING', phase: 'ROLLING_BACK' })
    expect(() => new RollbackTurn(store, store.get('m'))).toThrow(expect.objectContaining({ code: 'FM_ID_TAKEN' }))
    turn.check()
    store.saveReport('m', turn.claim.owner, '{"passed":1}')
    turn.end({ rollbackKept: 3 }, REPORT)
    turn.close()
    expect(store.get('m')).toMatchObject({ status: { state: 'ROLLED_BACK' }, facts: { rollbackKept: 3 } })
    expect(store.details('m').plan).toBe('{"keys":1}')
    // What it left alone joins what was known.
    expect(JSON.parse(store.details('m').report ?? '')).toMatchObject({ passed: 1, rollback: { kept: 3 } })
    store.close()
  })

  it('that did not come to its end can be taken again', () => {
    const store = stored('again')
    const turn = new RollbackTurn(store, store.get('m'))
    turn.close()
    expect(store.get('m').status.state).toBe('INTERRUPTED')
    const next = new RollbackTurn(store, store.get('m'))
    expect(() => turn.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    // Who was followed changes nothing any more.
    turn.end({}, REPORT)
    turn.close()
    expect(store.get('m').status).toMatchObject({ state: 'RUNNING', phase: 'ROLLING_BACK' })
    next.close()
    store.close()
  })
})
