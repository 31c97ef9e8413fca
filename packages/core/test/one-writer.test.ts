import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { resolveConfig } from '../dist/config/config.js'
import { chooseDatabases } from '../dist/ends/databases.js'
import { currentProcess } from '../dist/state/process-identity.js'
import type { StoredLease } from '../dist/state/run-facts.js'
import { RunLease } from '../dist/state/run-lease.js'
import { putBackLeft, SettingsLedger } from '../dist/state/settings-ledger.js'
import { StateStore } from '../dist/state/state-store.js'
import type { MigrationStatus } from '../dist/state/status.js'

const directory = mkdtempSync(join(tmpdir(), 'fm-writer-'))
afterAll(() => rmSync(directory, { recursive: true }))
afterEach(() => vi.useRealTimers())

describe('a lease', () => {
  const held = (owner: string, expiresIn = 15_000): StoredLease => ({
    owner,
    epoch: 1,
    renewedAt: Date.now(),
    expiresAt: Date.now() + expiresIn,
  })

  it('is looked at again after a while, and lost for good when another process is the owner', () => {
    vi.useFakeTimers()
    let owner = 'me'
    let looks = 0
    const lease = new RunLease('m', 'me', {
      lease: () => {
        looks++
        return held(owner)
      },
      renew: () => true,
    })
    for (let i = 0; i < 1000; i++) lease.check()
    expect(looks).toBe(1)
    owner = 'another'
    lease.check()
    vi.advanceTimersByTime(2500)
    expect(() => lease.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    owner = 'me'
    expect(() => lease.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    expect(lease.isLost).toBe(true)
  })

  it('is looked at when either clock says that time went by', () => {
    vi.useFakeTimers()
    let looks = 0
    const lease = new RunLease('m', 'me', {
      lease: () => {
        looks++
        return held('me')
      },
      renew: () => true,
    })
    lease.check()
    // A machine that was paused: only the clock on the wall went on. It may also be set back.
    vi.setSystemTime(Date.now() + 60_000)
    lease.check()
    vi.setSystemTime(Date.now() - 3_600_000)
    lease.check()
    expect(looks).toBe(3)
  })

  it('is not lost because the state cannot be read for a moment', () => {
    const locked = (): never => {
      throw new Error('database is locked')
    }
    const lease = new RunLease('m', 'me', { lease: locked, renew: locked })
    lease.check()
    expect(lease.isLost).toBe(false)
  })

  it('that has expired is renewed before anything is written, or lost', () => {
    let renewed = 0
    const lease = new RunLease('m', 'me', { lease: () => held('me', -1), renew: () => ++renewed > 0 })
    lease.check()
    expect(renewed).toBe(1)
    const late = new RunLease('m', 'me', { lease: () => held('me', -1), renew: () => false })
    expect(() => late.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
  })

  it('belongs to one process, whatever its pid says', () => {
    const place = join(directory, 'leases')
    const store = new StateStore(place)
    const db = new DatabaseSync(join(place, 'state.db'))
    const holder = (process: object, expiresIn: number): void => {
      db.prepare("UPDATE migrations SET holder = ?, expires_at = ? WHERE id = 'm'").run(
        JSON.stringify({ ...currentProcess(), ...process }),
        Date.now() + expiresIn,
      )
    }
    const status = { state: 'RUNNING', phase: 'LIVE_SYNC' } as MigrationStatus
    const run = (owner: string): number =>
      store.create({
        ...{ id: 'm', createdAt: 1, source: 's', target: 't', mode: 'live', config: '{}', facts: {}, plan: '{}' },
        ...{ owner, status },
      })
    const taken = expect.objectContaining({ code: 'FM_ID_TAKEN' })
    expect(run('first')).toBe(1)
    expect(() => run('second')).toThrow(taken)
    // Another machine, where a process of that number lives or not: only the end of the lease tells.
    holder({ host: 'elsewhere', pid: 999_999_999 }, 5000)
    expect(() => run('second')).toThrow(taken)
    expect(store.get('m').status.state).toBe('RUNNING')
    holder({ host: 'elsewhere', pid: process.pid }, -1)
    expect(store.get('m').status.state).toBe('INTERRUPTED')
    expect(run('second')).toBe(2)
    expect(store.save('m', 'first', status)).toBe(false)
    expect(store.renew('m', 'first')).toBe(false)
    expect(store.lease('m')).toMatchObject({ owner: 'second', epoch: 2 })
    // The number of a process that is gone belongs to another one by now.
    if (currentProcess().startedAt !== '') {
      holder({ startedAt: '1' }, 5000)
      expect(run('third')).toBe(3)
    }
    holder({ pid: 999_999_999, startedAt: '1' }, 5000)
    expect(run('fourth')).toBe(currentProcess().startedAt === '' ? 3 : 4)
    db.close()
    store.close()
  })
})

describe('what is changed at a source', () => {
  it('is written down before, and put back by whoever comes next, once', async () => {
    const store = new StateStore(join(directory, 'ledger'))
    const url = 'redis://user:secret@h:6379'
    const ledger = new SettingsLedger(store, 'gone', 'owner-1', url)
    const settled = ledger.lend('setting', 'rdbcompression=yes')
    const left = ledger.lend('acl', 'user a on >x')
    settled.settled()
    expect(left).toBeDefined()
    const put: [string, string][] = []
    const source = {
      putBack: async (what: string, former: string) => void put.push([what, former]),
    }
    // Another server is none of its business; the password does not tell servers apart.
    expect(await putBackLeft(store, source, 'redis://h:7000')).toEqual([])
    expect(await putBackLeft(store, source, 'redis://user:other@h:6379')).toHaveLength(1)
    expect(put).toEqual([['acl', 'user a on >x']])
    expect(await putBackLeft(store, source, url)).toEqual([])
    store.close()
  })

  it('that cannot be put back now stays written down', async () => {
    const store = new StateStore(join(directory, 'stays'))
    new SettingsLedger(store, 'gone', 'owner-1', 'redis://h:1').lend('setting', 'a=b')
    const source = {
      putBack: async () => {
        throw new Error('no connection')
      },
    }
    await expect(putBackLeft(store, source, 'redis://h:1')).rejects.toThrow('no connection')
    expect(store.loans({ server: 'redis://h:1' })).toHaveLength(1)
    store.close()
  })
})

describe('databases', () => {
  const { filter } = resolveConfig({ source: 'redis://a', target: 'redis://b' })
  const choose = (
    source: number | undefined,
    target: { database?: number; refuses?: (db: number) => string | null },
    sizes: [number, number][] | null,
    dbMap: Record<string, number> = {},
  ) =>
    chooseDatabases(
      { filter, dbMap },
      source === undefined ? {} : { database: source },
      {
        ...(target.database === undefined ? {} : { database: target.database }),
        refusesDatabase: async (db: number) => target.refuses?.(db) ?? null,
      },
      sizes === null ? null : new Map(sizes),
    )

  it('in the address of the target takes the one database that the source has', async () => {
    expect(await choose(undefined, { database: 3 }, [[0, 5]])).toMatchObject({ dbMap: { 0: 3 }, only: 0 })
    expect(await choose(undefined, { database: 3 }, [[3, 5]])).toMatchObject({ dbMap: {}, only: 3 })
    expect(await choose(undefined, { database: 3 }, null)).toMatchObject({ dbMap: { 0: 3 }, only: 0 })
  })

  it('in the address of the target is refused for several, with what to write', async () => {
    const { findings } = await choose(undefined, { database: 3 }, [
      [0, 5],
      [1, 2],
    ])
    expect(findings).toMatchObject([
      { level: 'fail', code: 'FM_DB_SEVERAL', text: expect.stringContaining('--db-map 0:3,1:4') },
    ])
  })

  it('in the address of the source means that one alone, and what stays behind is said', async () => {
    const choice = await choose(1, {}, [
      [0, 5],
      [1, 2],
    ])
    expect(choice.filter.dbs).toEqual([1])
    expect(choice.findings).toMatchObject([{ level: 'warn', text: expect.stringContaining('5 keys') }])
  })

  it('that the target refuses are found before anything is written, as they are mapped', async () => {
    const refuses = (db: number): string | null => (db >= 4 ? `the target has no database ${db}` : null)
    const cases: [[number, number][], Record<string, number>][] = [
      [[[9, 1]], {}],
      [[[0, 1]], { 0: 7 }],
    ]
    for (const [sizes, dbMap] of cases) {
      const { findings } = await choose(undefined, { refuses }, sizes, dbMap)
      expect(findings).toMatchObject([{ level: 'fail', code: 'FM_DB_RANGE' }])
    }
    expect((await choose(undefined, { refuses }, [[9, 1]], { 9: 2 })).findings).toEqual([])
  })
})
