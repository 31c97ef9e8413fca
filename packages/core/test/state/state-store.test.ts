import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StateStore } from '../../dist/index.js'
import { directory } from '../doubles.js'
import { status, storedMigration } from './stored-migration.js'

const place = directory()
let made = 0
let at: string
let store: StateStore
beforeEach(() => {
  at = join(place, String(made++))
  store = new StateStore(at)
})
afterEach(() => {
  vi.useRealTimers()
  store.close()
})
const row = (given: Parameters<typeof storedMigration>[0] = {}) => ({ ...storedMigration(given), plan: '{"keys":1}' })

describe('the state', () => {
  it('keeps migrations for the next process, the newest first', () => {
    store.create(row({ facts: { journal: true } }))
    store.create(row({ id: 'later', createdAt: 2 }))
    const next = new StateStore(at)
    expect(next.get('m')).toMatchObject({
      ...storedMigration({ facts: { journal: true } }),
      heartbeatAt: expect.any(Number),
    })
    expect(next.list().map(({ id }) => id)).toEqual(['later', 'm'])
    expect(() => next.get('none')).toThrow(expect.objectContaining({ code: 'FM_ID_UNKNOWN' }))
    expect(next.find('none')).toBeUndefined()
    next.close()
  })

  it('lets one process run a migration at a time, and counts them', () => {
    expect(store.create(row())).toBe(1)
    expect(() => store.create(row({ owner: 'two' }))).toThrow(expect.objectContaining({ code: 'FM_ID_TAKEN' }))
    expect(store.lease('m')?.owner).toBe('one')
    store.save('m', 'one', status({ state: 'COMPLETED', phase: 'COMPLETED' }))
    expect(store.create(row({ owner: 'two' }))).toBe(2)
    expect([store.lease('m')?.owner, store.lease('none')?.owner]).toEqual(['two', undefined])
  })

  it('sees that a process died: it says nothing any more', () => {
    store.create(row({ id: 'silent' }))
    expect(store.get('silent').status.state).toBe('RUNNING')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 16_000 })
    expect(store.get('silent').status).toMatchObject({
      ...{
        state: 'INTERRUPTED',
        phase: 'INTERRUPTED',
        rate: 0,
        lagKeys: null,
        lagMs: null,
        inSync: false,
        paused: false,
      },
    })
    // Whoever is over is over, however long ago.
    store.save('silent', 'one', status({ state: 'COMPLETED', phase: 'COMPLETED' }))
    vi.setSystemTime(Date.now() + 16_000)
    expect(store.get('silent').status.state).toBe('COMPLETED')
  })

  it.runIf(process.platform === 'linux')('keeps its lock when it is opened once more by the same process', () => {
    const { ino } = statSync(join(at, 'state.db'))
    const locks = (): number =>
      readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter((line) => line.includes(` ${process.pid} `) && line.includes(`:${ino} `)).length
    store.list()
    expect(locks()).toBe(1)
    new StateStore(at).close()
    expect(locks()).toBe(1)
  })

  it('takes a row back of a run that was refused, and leaves the one that was there', () => {
    const over = status({ state: 'INTERRUPTED', phase: 'INTERRUPTED' })
    store.create(row())
    store.withdraw('m', 'other', null)
    expect(store.find('m')).toBeDefined()
    store.withdraw('m', 'one', null)
    expect(store.find('m')).toBeUndefined()
    store.create(row({ status: over }))
    const former = store.get('m')
    store.create(row({ owner: 'two' }))
    store.withdraw('m', 'two', former)
    expect(store.get('m')).toMatchObject({ owner: 'one', status: { state: 'INTERRUPTED' } })
  })

  it('takes nothing from a process that another one has followed', () => {
    store.create(row())
    expect([store.save('m', 'other', status({ keysDone: 99 })), store.setFacts('m', 'other', { held: true })]).toEqual([
      false,
      false,
    ])
    store.saveReport('m', 'other', '{"stolen":true}')
    expect(store.get('m').status.keysDone).toBe(3)
    expect(store.details('m')).toEqual({ plan: '{"keys":1}', report: null })
    expect([store.save('m', 'one', status({ keysDone: 9 })), store.setFacts('m', 'one', { held: true })]).toEqual([
      true,
      true,
    ])
    expect(store.get('m')).toMatchObject({ status: { keysDone: 9 }, facts: { held: true } })
  })

  it('keeps the report of a migration that goes on, not of a former one of its name', () => {
    const over = status({ state: 'INTERRUPTED', phase: 'INTERRUPTED' })
    store.create(row({ status: over }))
    store.saveReport('m', 'one', '{"found":1}')
    store.create(row({ status: over }))
    expect(store.details('m').report).toBe('{"found":1}')
    store.create(row({ createdAt: 9 }))
    expect(store.details('m').report).toBeNull()
  })

  it('keeps positions, events and passes, and forgets them for a new start', () => {
    store.savePosition('m', 'a', '1')
    store.savePosition('m', 'a', '2')
    store.savePosition('m', 'b', '3')
    store.savePosition('other', 'a', '4')
    expect(store.positions('m')).toEqual(
      new Map([
        ['a', '2'],
        ['b', '3'],
      ]),
    )
    store.addEvent('m', 'phase', 'x')
    store.addEvent('m', 'note', 'y', 'somebody')
    expect(store.events('m')).toMatchObject([
      { type: 'phase', text: 'x', actor: expect.stringContaining(`pid ${process.pid}`) },
      { type: 'note', text: 'y', actor: 'somebody' },
    ])
    const pass = { startedAt: 1, endedAt: 2, sync: 'full', written: 3, deleted: 4, changes: 5 } as const
    expect([store.addPass('m', pass).number, store.addPass('m', pass).number]).toEqual([1, 2])
    expect(store.passes('m')).toEqual([
      { number: 1, ...pass },
      { number: 2, ...pass },
    ])
    store.clear('m')
    expect([store.positions('m').size, store.passes('m').length, store.events('m').length]).toEqual([0, 0, 2])
    expect(store.positions('other').size).toBe(1)
    store.forgetPositions('other')
    expect(store.positions('other').size).toBe(0)
  })

  it('thins old samples out, and keeps the new ones', () => {
    const sample = { phase: 'LIVE_SYNC', keys: 1, changes: 2, rate: 3.5, lagKeys: null, lagBytes: 4, lagMs: 5 }
    for (let i = 0; i < 10; i++) store.addSample('m', { at: i, ...sample })
    expect(store.samples('m')[3]).toEqual({ at: 3, ...sample })
    store.thinSamples('m', 6)
    expect(store.samples('m').map((one) => one.at)).toEqual([0, 2, 4, 6, 7, 8, 9])
    store.thinSamples('other', 100)
    expect(store.samples('m')).toHaveLength(7)
  })

  it('is for its user alone', () => {
    expect(statSync(join(at, 'state.db')).mode & 0o077).toBe(0)
  })
})

describe('a state directory', () => {
  const unusable = expect.objectContaining({ code: 'FM_STATE_DIR' })

  it('that cannot be used says so', () => {
    const file = join(place, 'file')
    writeFileSync(file, '')
    expect(() => new StateStore(file)).toThrow(unusable)
    mkdirSync(join(place, 'broken'))
    writeFileSync(join(place, 'broken', 'state.db'), 'no database at all, but a text that is long enough'.repeat(50))
    expect(() => new StateStore(join(place, 'broken'))).toThrow(unusable)
  })

  it('of a newer version is left alone', () => {
    const db = new DatabaseSync(join(at, 'state.db'))
    db.exec('PRAGMA user_version = 99')
    db.close()
    expect(() => new StateStore(at)).toThrow(/a newer version of ferrite-migrate wrote it/)
  })

  it('of the first version is brought up to date with what it holds', () => {
    const old = join(place, 'old')
    mkdirSync(old)
    const db = new DatabaseSync(join(old, 'state.db'))
    db.exec(
      'CREATE TABLE migrations (id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, mode TEXT NOT NULL, pid INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL, status TEXT NOT NULL, plan TEXT NOT NULL) STRICT; CREATE TABLE events (migration TEXT NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL) STRICT',
    )
    db.prepare('INSERT INTO migrations VALUES (?, 1, ?, ?, ?, 1, 1, ?, ?)').run(
      ...['m', 'redis://a', 'ferrite://b', 'live', JSON.stringify(status({ state: 'COMPLETED' })), '{}'],
    )
    db.exec("INSERT INTO events VALUES ('m', 1, 'phase', 'x')")
    db.close()
    const upgraded = new StateStore(old)
    expect(upgraded.get('m')).toMatchObject({
      config: '{}',
      facts: {},
      epoch: 0,
      owner: '',
      status: { state: 'COMPLETED' },
    })
    expect(upgraded.events('m')).toEqual([{ at: 1, type: 'phase', text: 'x', actor: '' }])
    upgraded.addLoan({ migration: 'm', server: 's', what: 'acl', former: 'x', owner: 'o', identity: 'i' })
    expect(upgraded.loans({ identity: 'i', server: 'other' })).toHaveLength(1)
    upgraded.close()
  })
})
