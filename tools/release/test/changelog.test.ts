import { describe, expect, it } from 'vitest'
import { parseChangeset, releaseNotes, withRelease } from '../dist/changelog/changeset-text.js'

const CHANGE = '---\n"@ferrite-migrate/core": minor\n"ferrite-migrate": patch\n---\n\nIt does more.\nAnd better.\n'

describe('the changelog', () => {
  it('says what a pending change says, and how much it is', () => {
    expect(parseChangeset(CHANGE)).toEqual({ bump: 'minor', text: 'It does more.\nAnd better.' })
    expect(parseChangeset(CHANGE.replace('minor', 'major').replaceAll('\n', '\r\n')).bump).toBe('major')
    for (let length = 0; length < CHANGE.indexOf('It'); length++)
      expect(() => parseChangeset(CHANGE.slice(0, length))).toThrow()
  })

  it('puts a release before the others, breaking changes first', () => {
    const one = releaseNotes('1.0.0', '2026-12-01', [
      { bump: 'patch', text: 'c' },
      { bump: 'major', text: 'a\nb' },
    ])
    expect(one).toBe('## 1.0.0 (2026-12-01)\n\n### Breaking\n\n- a\n  b\n\n### Mended\n\n- c\n')
    const first = withRelease('# Changelog\n\nWords.\n', one)
    const second = withRelease(first, releaseNotes('1.0.1', '2026-12-02', [{ bump: 'patch', text: 'd' }]))
    expect(second.match(/^## .*$/gm)).toEqual(['## 1.0.1 (2026-12-02)', '## 1.0.0 (2026-12-01)'])
    expect(second.startsWith('# Changelog\n\nWords.\n\n## 1.0.1')).toBe(true)
  })
})
