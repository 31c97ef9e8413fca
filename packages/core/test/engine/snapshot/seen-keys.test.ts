import { FingerprintSet } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { SeenKeys } from '../../../dist/engine/snapshot/seen-keys.js'
import { bytes } from '../../doubles.js'

function seen(...names: string[]): FingerprintSet {
  const set = new FingerprintSet()
  for (const name of names) set.add(0, bytes(name))
  return set
}

describe('what snapshots held', () => {
  it('tells what is gone of one shard alone at once', () => {
    const all = new SeenKeys(1)
    const first = all.end('s', seen('a', 'b'))
    expect(['a', 'b', 'c'].map((name) => first?.isGone(0, bytes(name)))).toEqual([false, false, true])
    const second = all.end('s', seen('a'))
    expect(['a', 'b', 'c'].map((name) => second?.isGone(0, bytes(name)))).toEqual([false, true, true])
    expect(second?.isGone(1, bytes('a'))).toBe(true)
  })

  it('tells nothing of several until each has ended, for what one has not may be another’s', () => {
    const all = new SeenKeys(2)
    expect(all.end('one', seen('a'))).toBeNull()
    const both = all.end('two', seen('b'))
    expect(['a', 'b', 'c'].map((name) => both?.isGone(0, bytes(name)))).toEqual([false, false, true])
    expect([all.has(0, bytes('a')), all.has(0, bytes('c'))]).toEqual([true, false])
  })

  it('tells of a shard that is read again only what it had itself', () => {
    const all = new SeenKeys(2)
    all.end('one', seen('a', 'b'))
    all.end('two', seen('c'))
    const again = all.end('one', seen('a'))
    // What the other got by changes since is in no snapshot.
    expect(['a', 'b', 'c', 'd'].map((name) => again?.isGone(0, bytes(name)))).toEqual([false, true, false, false])
  })
})
