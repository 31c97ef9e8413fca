import { describe, expect, it } from 'vitest'
import { lookedText, refuseDifferences, settledReport, settledText } from '../../dist/cutover/compared-ends.js'
import { ChangeTrack } from '../../dist/engine/changes/change-track.js'
import type { Difference } from '../../dist/records/difference.js'
import type { VerifyReport } from '../../dist/verify/verify-report.js'
import { bytes, command } from '../doubles.js'

const difference = (key: string): Difference => ({
  ...{ kind: 'value', db: 0, key, keyBase64: bytes(key).toString('base64'), detail: 'the string differs' },
})
const report = (given: Partial<VerifyReport> = {}): VerifyReport => ({
  ...{ compared: 10, matching: 10, mismatched: 0, missingSource: 0, missingTarget: 0, differences: [], equal: true },
  ...{ complete: true, leftOut: 0, foreign: 0, nothing: false, at: 0 },
  ...given,
})
const differing = report({ mismatched: 2, matching: 8, differences: [difference('a'), difference('b')], equal: false })

describe('a comparison before the fence', () => {
  it('counts what stands still', () => {
    const track = new ChangeTrack()
    track.add(command('SET', 'a', 'v'))
    const settled = settledReport(differing, track)
    expect([settled.differences.map(({ key }) => key), settled.equal]).toEqual([['b'], false])
    track.add(command('SET', 'b', 'v'))
    expect(settledReport(differing, track)).toMatchObject({ differences: [], equal: true })
  })

  it('says nothing where too much changes', () => {
    const track = new ChangeTrack()
    track.add(command('FLUSHALL'))
    expect(settledReport(differing, track)).toMatchObject({ differences: [], equal: true })
  })

  it('is not equal where more differs than is named, or not everything was looked at', () => {
    const track = new ChangeTrack()
    for (const key of ['a', 'b']) track.add(command('SET', key, 'v'))
    expect(settledReport({ ...differing, mismatched: 3 }, track).equal).toBe(false)
    expect(settledReport(report({ complete: false }), track).equal).toBe(false)
    expect(settledReport(report({ nothing: true }), track).equal).toBe(false)
  })

  it('is told in words', () => {
    const track = new ChangeTrack()
    const text = (one: VerifyReport): string => settledText(one, settledReport(one, track))
    expect([text(report({ compared: 1 })), text(differing)]).toEqual([
      '1 key compared before the fence: equal',
      '10 keys compared before the fence: different',
    ])
  })
})

describe('the last look', () => {
  it.each([
    [10, true, false, '10 keys compared: equal'],
    [0, false, true, 'no key changed since the comparison'],
    [3, false, true, '3 keys that changed meanwhile compared: equal'],
    [1, false, false, 'the last key compared: equal'],
    [500, false, false, 'the last 500 keys compared: equal'],
  ])('of %i keys, whole %s, verified %s, is %s', (compared, whole, verified, text) => {
    expect(lookedText(report({ compared }), whole, verified)).toBe(text)
  })

  it('at nothing is no equality', () => {
    expect(lookedText(report({ compared: 0 }), false, false)).toContain('nothing was left to compare')
  })

  it('refuses what differs, naming a few', () => {
    refuseDifferences(report())
    expect(() => refuseDifferences(differing)).toThrow('2 keys differ: a (the string differs), b (the string differs)')
    expect(() => refuseDifferences(report({ equal: false, nothing: true }))).toThrow('no key was compared')
  })
})
