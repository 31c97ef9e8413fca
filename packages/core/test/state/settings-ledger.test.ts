import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { putBackLeft, SettingsLedger } from '../../dist/state/settings-ledger.js'
import { StateStore } from '../../dist/state/state-store.js'
import { directory } from '../doubles.js'

const place = directory()

describe('what is changed at a source', () => {
  it('is written down before, and put back by whoever comes next, once', async () => {
    const store = new StateStore(join(place, 'ledger'))
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
    const store = new StateStore(join(place, 'stays'))
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

  it('by others is told, how it was before them', () => {
    const store = new StateStore(join(place, 'others'))
    const ledger = (migration: string, owner: string, url: string) => new SettingsLedger(store, migration, owner, url)
    ledger('one', 'owner-1', 'redis://h:1').lend('setting', 'a=1', 'server-1')
    ledger('two', 'owner-2', 'redis://other:1').lend('setting', 'a=2', 'server-1')
    ledger('two', 'owner-2', 'redis://h:1').lend('acl', 'user a')
    ledger('three', 'owner-3', 'redis://elsewhere:1').lend('setting', 'a=4')
    const mine = ledger('mine', 'owner-4', 'redis://h:1')
    expect(mine.others('setting')).toEqual([{ migration: 'one', former: 'a=1' }])
    // Whoever the server is, under whatever address.
    expect(mine.others('setting', 'server-1')).toEqual([
      { migration: 'one', former: 'a=1' },
      { migration: 'two', former: 'a=2' },
    ])
    expect(ledger('one', 'owner-1', 'redis://h:1').others('setting')).toEqual([])
    store.close()
  })

  it('and is to stay waits until somebody asks for it by name', async () => {
    const store = new StateStore(join(place, 'kept'))
    new SettingsLedger(store, 'm', 'owner-1', 'redis://h:1').lend('acl', 'user a').keep()
    const put: string[] = []
    const source = { putBack: async (_: string, former: string) => void put.push(former) }
    expect(await putBackLeft(store, source, 'redis://h:1')).toEqual([])
    expect(await putBackLeft(store, source, 'redis://h:1', { migration: 'another', kept: true })).toEqual([])
    expect(await putBackLeft(store, source, 'redis://h:1', { migration: 'm', kept: true })).toEqual([
      'the rights of the users at the source, which the migration m had changed',
    ])
    expect(put).toEqual(['user a'])
    store.close()
  })
})
