import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { KeyReader, SnapshotRecord } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { SnapshotDifference } from '../../../dist/engine/snapshot/snapshot-difference.js'
import { bytes, names, record } from '../../doubles.js'

const END = 1_900_000_000_000

function target(...records: SnapshotRecord[]): MemoryTarget {
  const store = new MemoryStore()
  for (const one of records) store.set(one)
  return new MemoryTarget(store)
}

describe('a copy that starts over', () => {
  it('sends only what differs in value or end, or is not there', async () => {
    const there = [
      record('same', 'v', END),
      record('value', 'old'),
      record('end', 'v', END),
      record('lasting', 'v'),
      record('other db', 'v', 0, 1),
    ]
    const difference = new SnapshotDifference(target(...there))
    const given = [
      record('same', 'v', END + 1),
      record('value', 'new'),
      record('end', 'v', END + 2),
      record('lasting', 'v', END),
      record('other db', 'v'),
      record('missing'),
    ]
    expect(names(await difference.of(given))).toEqual(['value', 'end', 'lasting', 'other db', 'missing'])
    expect([difference.equal, difference.different]).toEqual([1, 5])
  })

  it('looks in the database of each record, however they are mixed', async () => {
    const records = [record('k', 'a', 0, 0), record('k', 'b', 0, 1), record('k', 'c', 0, 0), record('l', 'd', 0, 3)]
    const difference = new SnapshotDifference(target(records[1], records[2], records[3]))
    expect(await difference.of(records)).toEqual([records[0]])
  })

  it('sends what cannot be read or held', async () => {
    const blind = new (class extends MemoryTarget {
      override reader(): KeyReader {
        return { ...super.reader(), read: () => Promise.reject(new Error('too large')) }
      }
    })()
    expect(names(await new SnapshotDifference(blind).of([record('k')]))).toEqual(['k'])
    const sliced: SnapshotRecord = {
      ...record('large'),
      value: { form: 'sliced', type: 'list', slices: (async function* () {})() },
    }
    const difference = new SnapshotDifference(target(record('large')))
    expect(await difference.of([sliced])).toEqual([sliced])
    expect([difference.equal, difference.different]).toEqual([0, 1])
  })

  it('does not compare ends of fields where the target has none', async () => {
    const hash = (at: number): SnapshotRecord => ({
      ...record('h'),
      value: { form: 'items', type: 'hash', items: [bytes('f'), bytes('v')], fieldExpireAt: [at] },
    })
    const lacking = new (class extends MemoryTarget {
      override readonly dialect = {
        ...new MemoryTarget().dialect,
        holds: { fieldExpiry: false, hyperLogLog: true, databases: true },
      }
    })(storeOf(hash(0)))
    expect(await new SnapshotDifference(lacking).of([hash(END)])).toEqual([])
    expect(names(await new SnapshotDifference(target(hash(0))).of([hash(END)]))).toEqual(['h'])
  })
})

function storeOf(one: SnapshotRecord): MemoryStore {
  const store = new MemoryStore()
  store.set(one)
  return store
}
