import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { ChangeRecord, ChangesEvent, Shard } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { ExpiryGuard } from '../../../dist/engine/expiry/expiry-guard.js'
import { PendingKeys } from '../../../dist/engine/lanes/pending-keys.js'
import { NO_TRANSFORM, RecordFilter } from '../../../dist/index.js'
import { command, names, record } from '../../doubles.js'

let source: MemoryStore
let target: MemoryStore
let dirty: PendingKeys
let guard: ExpiryGuard
beforeEach(() => {
  source = new MemoryStore()
  target = new MemoryStore()
  dirty = new PendingKeys()
  const shard: Shard = {
    id: '0',
    read: () => {
      throw new Error('nothing is read here')
    },
    // The stream stays far behind.
    readAt: async () => ({ records: [], position: '1000' }),
    covers: (position, mark) => Number(position) >= Number(mark),
  }
  guard = new ExpiryGuard(
    {
      source: new MemorySource(source),
      target: new MemoryTarget(target),
      filter: new RecordFilter({ exclude: ['other:*'] }),
      transform: NO_TRANSFORM,
    },
    shard,
    dirty,
  )
})

const look = (...records: ChangeRecord[]): Promise<boolean> => {
  const event: ChangesEvent = { kind: 'changes', records, byteLength: 0, position: '1' }
  return guard.look(event)
}

describe('the guard over keys that may have ended at the target', () => {
  it('reads again what is renewed and not there', async () => {
    guard.begin()
    target.set(record('there'))
    await look(command('EXPIRE', 'lost', '100'), command('EXPIRE', 'there', '100'))
    expect(names(dirty)).toEqual(['lost'])
  })

  it('takes what a command makes for new, until a renewal tells that it was there at the source', async () => {
    guard.begin()
    await look(command('INCR', 'k'), command('INCR', 'new'))
    expect(names(dirty)).toEqual([])
    await look(command('PERSIST', 'k'))
    expect(names(dirty)).toEqual(['k'])
  })

  it('counts a key that is about to end as lost', async () => {
    guard.begin()
    target.set(record('ending', 'v', Date.now() + 500))
    target.set(record('lasting', 'v', Date.now() + 60_000))
    await look(command('PEXPIRE', 'ending', '1000'), command('PEXPIRE', 'lasting', '1000'))
    expect(names(dirty)).toEqual(['ending'])
  })

  it('reads all keys of a command that builds upon several, when one is lost', async () => {
    guard.begin()
    target.set(record('a'))
    await look(command('SUNIONSTORE', 'to', 'a', 'lost'))
    expect(names(dirty)).toEqual(['to', 'a', 'lost'])
  })

  it('does not look for what is written whole, nor for keys that nobody wants', async () => {
    guard.begin()
    await look(command('SET', 'k', 'v'), command('EXPIRE', 'k', '100'), command('EXPIRE', 'other:k', '100'))
    expect(names(dirty)).toEqual([])
  })

  it('reads at its end what the source had no more either: its deletion may come late', async () => {
    guard.begin()
    source.set(record('alive'))
    await look(command('INCR', 'alive'), command('INCR', 'gone'), command('INCR', 'deleted'))
    await look(command('DEL', 'deleted'))
    guard.settle()
    expect(names(dirty)).toEqual(['gone'])
  })

  it('stands only where nothing was applied for a while', async () => {
    await look(command('EXPIRE', 'lost', '100'))
    guard.begin()
    guard.fresh()
    await look(command('EXPIRE', 'lost', '100'))
    expect(names(dirty)).toEqual([])
  })

  it('gives up when so many keys must be read that reading everything is less work', async () => {
    guard.begin()
    const many = (count: number): ChangeRecord[] =>
      Array.from({ length: count }, (_, i) => command('EXPIRE', `k${i}`, '100'))
    expect(await look(...many(4096))).toBe(true)
    expect(await look(...many(4097))).toBe(false)
  })
})
