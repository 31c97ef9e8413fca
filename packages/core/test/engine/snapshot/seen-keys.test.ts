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
    const all = new SeenKeys(['s'])
    const first = all.end('s', seen('a', 'b'))
    expect(['a', 'b', 'c'].map((name) => first?.isGone(0, bytes(name)))).toEqual([false, false, true])
    const second = all.end('s', seen('a'))
    expect(['a', 'b', 'c'].map((name) => second?.isGone(0, bytes(name)))).toEqual([false, true, true])
    expect(second?.isGone(1, bytes('a'))).toBe(true)
  })

  it('tells nothing of several until each has ended, for what one has not may be another’s', () => {
    const all = new SeenKeys(['one', 'two'])
    expect(all.end('one', seen('a'))).toBeNull()
    const both = all.end('two', seen('b'))
    expect(['a', 'b', 'c'].map((name) => both?.isGone(0, bytes(name)))).toEqual([false, false, true])
    expect([all.has(0, bytes('a')), all.has(0, bytes('c'))]).toEqual([true, false])
  })

  it('tells of a shard that is read again only what it had itself', () => {
    const all = new SeenKeys(['one', 'two'])
    all.end('one', seen('a', 'b'))
    all.end('two', seen('c'))
    const again = all.end('one', seen('a'))
    // What the other got by changes since is in no snapshot.
    expect(['a', 'b', 'c', 'd'].map((name) => again?.isGone(0, bytes(name)))).toEqual([false, true, false, false])
  })

  it('notes what a shard gets by changes as long as another one is read', () => {
    const all = new SeenKeys(['one', 'two'])
    expect(all.isNoting('one')).toBe(false)
    all.end('one', seen('a'))
    expect([all.isNoting('one'), all.isNoting('two')]).toEqual([true, false])
    all.note('one', 0, bytes('new'))
    const both = all.end('two', seen('b'))
    all.note('one', 0, bytes('newer'))
    expect(['a', 'new', 'newer', 'c'].map((name) => both?.isGone(0, bytes(name)))).toEqual([false, false, false, true])
    all.settle()
    expect(all.isNoting('one')).toBe(false)
  })

  it('waits for a shard that came, and not for one that went', () => {
    const all = new SeenKeys(['one'])
    all.join('two')
    expect([all.count, all.end('one', seen('a'))]).toEqual([2, null])
    all.leave('two')
    expect(all.count).toBe(1)
    expect(all.end('one', seen('a'))?.isGone(0, bytes('b'))).toBe(true)
  })
})
