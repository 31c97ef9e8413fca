import { describe, expect, it } from 'vitest'
import { markdownReport } from '../../dist/index.js'
import { status, storedMigration } from '../state/stored-migration.js'

const HOSTILE = '| `x` @octocat http://evil.example <b>\nsecond'

describe('the report as Markdown', () => {
  it('says how it ended, and shows names of keys as nothing but text', () => {
    const stored = {
      ...storedMigration(),
      createdAt: 0,
      heartbeatAt: 65_000,
      status: status({ state: 'COMPLETED', phase: 'COMPLETED', keysDone: 3, keysTotal: 4 }),
    }
    const report = {
      ...{
        passed: { count: 0, examples: [] },
        changesSinceVerification: null,
        cutover: null,
        rollback: null,
        verification: null,
      },
      notCarried: [{ what: 'function', count: 1, examples: [HOSTILE] }],
      failures: [{ db: 0, key: HOSTILE, reason: HOSTILE }],
    }
    const text = markdownReport(stored, { plan: null, report })
    expect(text).toContain('## ⚠️ Migration m: COMPLETED, not verified')
    expect(text).toContain('| Keys read | 3 of 4 |')
    expect(text).toContain('| Took | 1m 5s |')
    // Within code, and in one line of the table.
    expect(text).toContain('`` \\| `x` @octocat http://evil.example <b> second ``')
    for (const line of text.split('\n')) expect(line.replaceAll(/`` .*? ``/g, '')).not.toMatch(/@|http|<b>|second/)
  })

  it('names what a rollback left', () => {
    const stored = { ...storedMigration(), status: status({ state: 'ROLLED_BACK', phase: 'ROLLED_BACK' }) }
    const rollback = {
      ...{
        dryRun: false,
        removed: 1,
        restored: 0,
        unchanged: 0,
        kept: 2,
        keptExamples: ['a', 'b'],
        failed: 0,
        interrupted: false,
      },
    }
    const report = {
      ...{ passed: { count: 0, examples: [] }, changesSinceVerification: null, cutover: null, verification: null },
      ...{ notCarried: [], failures: [], rollback },
    }
    const text = markdownReport(stored, { plan: null, report })
    expect(text).toContain('ROLLED BACK, except 2 keys left alone')
    expect(text).toMatch(/### Left alone[\s\S]*rollback --id m --force[\s\S]*` a, b `/)
  })
})
