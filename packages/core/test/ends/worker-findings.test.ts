import type { SourceCapabilities } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { workerFindings } from '../../dist/ends/worker-findings.js'

const read = async function* () {}
const shard = (id: string, owns = true) => ({ id, read, ...(owns ? { owns: () => true } : {}) })
const LOSSLESS: SourceCapabilities = { changes: 'lossless', resume: 'changes' }

/** What is said, as level and text. */
function said(
  workers: number,
  shards = [shard('a'), shard('b')],
  more: Partial<SourceCapabilities> = {},
  injective = true,
  queued = false,
) {
  const source = { shards, capabilities: { ...LOSSLESS, ...more }, ...(queued ? { apart: () => undefined } : {}) }
  return workerFindings(workers, source, { injective }, queued).map(({ level, text }) => `${level} ${text}`)
}

describe('shards in processes of their own', () => {
  it('are taken without a word where nothing speaks against it, and not looked at without workers', () => {
    expect(said(2)).toEqual([])
    expect(said(0, [shard('a', false), shard('b', false)], { readOnce: true, together: true }, false)).toEqual([])
  })

  it.each([
    ['comes only once', said(2, undefined, { readOnce: true })],
    ['hand keys to each other', said(2, undefined, { together: true })],
    ['do not say which keys are their own', said(2, [shard('a'), shard('b', false)])],
    ['two keys one name', said(2, undefined, {}, false)],
  ])('are refused where only one process can know: %s', (text, findings) => {
    expect(findings).toEqual([expect.stringContaining(text)])
    expect(findings[0]).toMatch(/^fail .*: leave --workers out$/)
  })

  it('are taken from a queue also where they hand keys to each other, if they say by themselves when that begins', () => {
    expect(said(0, undefined, { together: true }, true, true)).toEqual([])
    expect(said(2, undefined, { together: true }, true, true)).toEqual([
      expect.stringMatching(/^fail .*leave --workers out$/),
    ])
    expect(said(0, undefined, { readOnce: true }, true, true)).toEqual([expect.stringMatching(/leave --queue out$/)])
    expect(said(0, undefined, {}, false, true)).toEqual([expect.stringMatching(/^fail .*leave --queue out$/)])
  })

  it('are no more than there are shards', () => {
    expect(said(4, [shard('a')])).toEqual([expect.stringMatching(/^info .*1 of 4 workers is started/)])
  })
})
