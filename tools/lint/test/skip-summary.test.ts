import { expect, it } from 'vitest'
import { type Skip, skipSummary } from '../skip-summary.js'

const skip = (name: string, note?: string, within = 'source redis'): Skip => ({
  name,
  fullName: `${within} > ${name}`,
  note,
})
const rules = [
  skip('S3 gives no key twice', 'the source claims none'),
  skip('R7 describes keys', 'it has no `describe`'),
]

it('skips are counted by their reasons, the most frequent first', () => {
  const lines = skipSummary([skip('conforms', 'FERRITE_BIN is not set'), ...rules], false)
  expect(lines).toEqual([
    'skipped: source redis > conforms: FERRITE_BIN is not set',
    '3 skipped: 2 rule does not apply, 1 FERRITE_BIN is not set',
  ])
})

it('a reason may stand in the title, and one that nobody gave is missed', () => {
  const lines = skipSummary(
    [skip('reads (all)', undefined, 'memcached (skipped: no memcached (1.6) here)'), skip('writes')],
    false,
  )
  expect(lines).toEqual([
    'skipped: memcached (skipped: no memcached (1.6) here) > reads (all): no memcached (1.6) here',
    'skipped: source redis > writes: no reason given',
    '2 skipped: 1 no memcached (1.6) here, 1 no reason given',
  ])
})

it('what was not asked for is only counted', () => {
  expect(skipSummary([skip('writes'), rules[0]], true)).toEqual(['2 skipped: 1 not asked for, 1 rule does not apply'])
})

it('nothing skipped is said as well', () => {
  expect(skipSummary([], false)).toEqual(['0 skipped'])
})
