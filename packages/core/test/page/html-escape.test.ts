import { describe, expect, it } from 'vitest'
import { KeyStatistics } from '../../dist/analysis/key-statistics.js'
import { htmlAnalysis, htmlComparison, htmlTable, type KeyDifference, markup, treemap } from '../../dist/index.js'
import { bytes } from '../doubles.js'

const EVIL = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;`
const text = (value: string) => ({ text: value, byteLength: value.length })

/** Nothing of what a key says is markup. */
function expectHarmless(page: string): void {
  expect(page).not.toMatch(/<script|<img|onerror=alert\(1\)>/)
  expect(page).toContain('&#60;')
}

describe('what a key is called', () => {
  it('is no markup', () => {
    expect(markup(`<a href="x">'&`)).toBe('&#60;a href=&#34;x&#34;&#62;&#39;&#38;')
    expect(markup('a\x1b[2Jb')).not.toContain('\x1b')
    expectHarmless(htmlTable([[EVIL, '1']], [EVIL, 'n']))
  })

  it('is no markup in an analysis, however it is shown there', () => {
    const statistics = new KeyStatistics(5)
    for (let i = 0; i < 20; i++)
      for (const prefix of [EVIL, `a${EVIL}`]) {
        const key = bytes(`${prefix}:${i}`)
        statistics.add(0, key, 0, key.length, `type${EVIL}`, EVIL, 100, 1, 0)
      }
    const summary = statistics.summary(10, true)
    expectHarmless(htmlAnalysis(EVIL, [[EVIL, EVIL]], summary))
    const child = { prefix: EVIL, keys: 3, bytes: 9, children: [] }
    const inner = { ...child, children: [child, { ...child, prefix: 'plain' }] }
    expectHarmless(treemap({ ...inner, prefix: '', children: [inner] }))
  })

  it('is no markup in a comparison, nor is its value', () => {
    const around = { at: 2, from: 0, source: text(`xx${EVIL}`), target: text(`xy${EVIL}`) }
    const difference: KeyDifference = {
      ...{ db: 0, key: text(EVIL), kind: 'value', detail: EVIL, partCount: 2, repaired: false },
      ...{ type: { source: 'hash', target: 'hash' }, expireAt: { source: null, target: null } },
      parts: [
        { part: 'field', name: text(EVIL), source: text(EVIL), target: null },
        { part: 'field', name: null, source: text(EVIL), target: text(EVIL), around },
      ],
    }
    const report = { compared: 1, different: 1, nothing: false, repaired: 0, stillDifferent: 0, kinds: { value: 1 } }
    const page = htmlComparison(EVIL, EVIL, report, [difference, { ...difference, parts: [], partCount: 0 }])
    expectHarmless(page)
    expect(page).toContain('<mark>')
  })
})
