import { describe, expect, it } from 'vitest'
import { ChangeTrack } from '../../../dist/engine/changes/change-track.js'
import { bytes, command, names } from '../../doubles.js'

describe('a track of changes', () => {
  it('has the keys that commands write, and none that they only read', () => {
    const track = new ChangeTrack()
    for (const one of [command('SET', 'a', 'v'), command('MSET', 'b', '1', 'c', '2'), command('GET', 'read')])
      track.add(one)
    expect([names(track.keys()), track.size, track.overflow]).toEqual([['a', 'b', 'c'], 3, false])
    expect([track.has(0, bytes('b')), track.has(1, bytes('b')), track.has(0, bytes('read'))]).toEqual([
      true,
      false,
      false,
    ])
  })

  it('gives the newest ones, and a key that changes again is the newest', () => {
    const track = new ChangeTrack()
    for (const name of ['a', 'b', 'c', 'a']) track.add(command('SET', name, 'v'))
    expect([names(track.keys(2)), names(track.keys())]).toEqual([
      ['c', 'a'],
      ['b', 'c', 'a'],
    ])
  })

  it.each([['FLUSHALL'], ['FLUSHDB'], ['SWAPDB', '0', '1']])('cannot tell what %s changed', (...line) => {
    const track = new ChangeTrack()
    track.add(command(...line))
    expect(track.overflow).toBe(true)
  })

  it('holds only so many keys', () => {
    const track = new ChangeTrack()
    const key = (i: number) => ({ db: 0, key: bytes(`k${i}`) })
    track.addKeys(Array.from({ length: 200_000 }, (_, i) => key(i)))
    expect([track.size, track.overflow]).toEqual([200_000, false])
    track.addKeys([key(5)])
    expect(track.overflow).toBe(false)
    track.addKeys([key(200_000)])
    expect([track.size, track.overflow]).toEqual([0, true])
  })
})
