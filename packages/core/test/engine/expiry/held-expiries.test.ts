import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { KeyReader } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { HeldExpiries, type HeldExpiriesNeeds } from '../../../dist/engine/expiry/held-expiries.js'
import { HELD_FOR_MS } from '../../../dist/engine/expiry/later-end.js'
import { keyRule, NO_TRANSFORM, RecordTransform } from '../../../dist/index.js'
import { bytes, names, record, words } from '../../doubles.js'

const HOUR = 3_600_000
const prefixed = new RecordTransform({
  keyRules: [keyRule({ type: 'prefix', value: 'new:' })],
  valueRules: [],
  script: null,
  template: null,
  dbs: new Map(),
  end: null,
  onError: 'fail',
})

let source: MemoryStore
let target: MemoryStore
let told: number
beforeEach(() => {
  source = new MemoryStore()
  target = new MemoryStore()
  told = 0
})

function held(needs: Partial<HeldExpiriesNeeds> = {}, reader: () => KeyReader = () => source.reader()): HeldExpiries {
  return new HeldExpiries(
    { target: new MemoryTarget(target), transform: NO_TRANSFORM, resumed: null, onHeld: () => told++, ...needs },
    reader,
  )
}

describe('expiries that are held', () => {
  it('are those of keys that end soon, which get more time; the others stay as they are', () => {
    const one = held()
    const now = Date.now()
    const records = [record('never'), record('soon', 'v', now + 60_000), record('late', 'v', now + HOUR)]
    const given = one.hold(records)
    expect([given[0], given[2]]).toEqual([records[0], records[2]])
    expect(given[1].expireAt).toBeGreaterThanOrEqual(now + HELD_FOR_MS)
    expect(names(one.keys)).toEqual(['soon'])
    expect(told).toBe(1)
    one.hold([record('again', 'v', now + 1)])
    expect(told).toBe(1)
  })

  it('are told of only once there are some', () => {
    const one = held()
    const records = [record('never')]
    expect(one.hold(records)).toBe(records)
    one.note()
    expect(told).toBe(0)
  })

  it('of what is read while the stream goes on get more time, or a moment', () => {
    const one = held()
    const now = Date.now()
    const records = [null, record('never'), record('soon', 'v', now + 5), record('late', 'v', now + HOUR)]
    const moment = one.stretch(records, 'for a moment')
    expect(moment[2]?.expireAt).toBeGreaterThanOrEqual(now + 2000)
    expect([moment[0], moment[1], moment[3], one.keys.size]).toEqual([null, records[1], records[3], 0])
    expect(one.stretch(records, 'hold')[2]?.expireAt).toBeGreaterThanOrEqual(now + HELD_FOR_MS)
    expect(names(one.keys)).toEqual(['soon'])
  })

  it('are released with the end that the source has by now, and what it has no more is named', async () => {
    const one = held()
    const end = Date.now() + 5000
    one.hold(['renewed', 'lasting', 'gone'].map((name) => record(name, 'v', end)))
    source.set(record('renewed', 'v', end + HOUR))
    source.set(record('lasting'))
    const { commands, gone } = await one.release()
    expect(commands.map(words)).toEqual([`PEXPIREAT renewed ${end + HOUR}`, 'PERSIST lasting'])
    expect(names(gone)).toEqual(['gone'])
    expect(await one.release()).toEqual({ commands: [], gone: [] })
  })

  it('are released by the database, some at a time', async () => {
    const one = held()
    const end = Date.now() + 5000
    for (let i = 0; i < 1500; i++) {
      const key = record(`k${i}`, 'v', end, i % 3 === 0 ? 1 : 0)
      source.set(key)
      one.hold([key])
    }
    const seen = new Set<string>()
    for (;;) {
      const { commands } = await one.release()
      if (commands.length === 0) break
      expect(commands.length).toBeLessThanOrEqual(1000)
      expect(new Set(commands.map(({ db }) => db)).size).toBe(1)
      for (const each of commands) seen.add(`${each.db} ${words(each)}`)
    }
    expect(seen.size).toBe(1500)
  })

  it('of a process that died are found at the target by their ends', async () => {
    const from = Date.now() - HOUR
    const resumed = { held: { from, to: Date.now() } }
    target.set(record('mine', 'v', from + HELD_FOR_MS + 5))
    target.set(record('before', 'v', from + HELD_FOR_MS - 5))
    target.set(record('after', 'v', Date.now() + HELD_FOR_MS + HOUR))
    target.set(record('never'))
    const one = held({ resumed })
    await one.find()
    expect([names(one.keys), told]).toEqual([['mine'], 1])
    // A run that held nothing looks for nothing.
    const other = held({ resumed: { held: null } })
    await other.find()
    expect(other.keys.size).toBe(0)
  })

  it('are found under other names from the source', async () => {
    const from = Date.now() - HOUR
    const end = from + HELD_FOR_MS + 5
    source.set(record('a'))
    source.set(record('b'))
    target.set(record('new:a', 'v', end))
    target.set(record('b', 'v', end))
    const one = held({ transform: prefixed, resumed: { held: { from, to: Date.now() } } })
    await one.find()
    expect(names(one.keys)).toEqual(['a'])
  })

  it('cover a copy that was short and did not hold too much', () => {
    const one = held()
    expect([one.cover(60_000), one.cover(15 * 60_000)]).toEqual([true, false])
    expect(one.keys.has(0, bytes('k'))).toBe(false)
  })
})
