import { beforeEach, describe, expect, it } from 'vitest'
import { PendingKeys } from '../../../dist/engine/lanes/pending-keys.js'
import { bytes, names } from '../../doubles.js'

const key = (name: string, db = 0) => ({ db, key: bytes(name) })
/** The stream has come to a place; positions are numbers. */
const at = (place: number) => (position: string) => place >= Number(position)

describe('pending keys', () => {
  let pending: PendingKeys
  beforeEach(() => {
    pending = new PendingKeys()
    for (const name of ['a', 'b', 'c']) pending.add(0, bytes(name))
  })

  it('stay until the stream has passed the place that their values belong to', () => {
    pending.read('10', [key('a'), key('b')])
    expect([names(pending.unread()), pending.allRead]).toEqual([['c'], false])
    pending.reached(at(9))
    expect(names(pending)).toEqual(['a', 'b', 'c'])
    pending.reached(at(10))
    expect(names(pending)).toEqual(['c'])
  })

  it('that changed after they were read are read again, and the former place frees them no more', () => {
    pending.read('10', [key('a')])
    pending.again(0, bytes('a'))
    expect(names(pending.unread())).toEqual(['a', 'b', 'c'])
    pending.reached(at(100))
    expect(pending.has(0, bytes('a'))).toBe(true)
    pending.read('200', [key('a')])
    pending.reached(at(200))
    expect(pending.has(0, bytes('a'))).toBe(false)
  })

  it('that were read twice belong to the later reading', () => {
    pending.read('10', [key('a')])
    pending.read('20', [key('a')])
    pending.reached(at(15))
    expect(pending.has(0, bytes('a'))).toBe(true)
    pending.reached(at(20))
    expect(pending.has(0, bytes('a'))).toBe(false)
  })

  it('are none of what is read besides', () => {
    pending.read('10', [key('other'), key('a', 1)])
    expect(names(pending.unread())).toEqual(['a', 'b', 'c'])
    pending.reached(at(10))
    expect(pending.size).toBe(3)
  })

  it('are unread again when a stream begins anew', () => {
    pending.read('10', [key('a'), key('b'), key('c')])
    expect(pending.allRead).toBe(true)
    pending.allAgain()
    expect(pending.allRead).toBe(false)
    pending.reached(at(100))
    expect(pending.size).toBe(3)
  })

  it('that are deleted count as neither', () => {
    pending.read('10', [key('a')])
    pending.delete(0, bytes('a'))
    expect([pending.size, names(pending.unread())]).toEqual([2, ['b', 'c']])
    pending.clear()
    expect([pending.size, pending.allRead]).toEqual([0, true])
  })
})
