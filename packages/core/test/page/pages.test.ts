import { describe, expect, it } from 'vitest'
import { KeyStatistics } from '../../dist/analysis/key-statistics.js'
import {
  chart,
  htmlAnalysis,
  htmlComparison,
  htmlPage,
  htmlReport,
  type KeyDifference,
  niceTicks,
  phaseBands,
  placeTiles,
  type StoredMigration,
  timeTicks,
  treemap,
} from '../../dist/index.js'
import { aroundDifference } from '../../dist/records/encoded-bytes.js'

/** A page needs nothing else, is closed where it is opened, and every link of it leads somewhere. */
function expectSound(page: string): void {
  expect(page).not.toMatch(/<script|(src|href)="https?:/)
  expect(page).toMatch(/name="viewport"/)
  expect(page).toMatch(/color-scheme/)
  expect(page).toMatch(/Content-Security-Policy/)
  const open: string[] = []
  for (const [, end, name, , self] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*?)(\/?)>/g)) {
    if (self === '/' || ['meta', 'input', 'html', '!doctype'].includes(name)) continue
    if (end === '') open.push(name)
    else expect(open.pop(), name).toBe(name)
  }
  expect(open).toEqual([])
  for (const [, id] of page.matchAll(/href="#([^"]+)"/g)) expect(page).toContain(`id="${id}"`)
}

const T0 = Date.UTC(2026, 10, 28, 6, 0, 0)

describe('ticks', () => {
  it.each([
    [3, [0, 1, 2, 3]],
    [50_000, [0, 20_000, 40_000, 60_000]],
    [0.7, [0, 0.2, 0.4, 0.6, 0.8]],
    [1, [0, 0.5, 1]],
  ])('of values up to %s are round', (high, ticks) => {
    expect(niceTicks(high, 4)).toEqual(ticks)
  })

  it('of times are round and few', () => {
    for (const span of [3000, 65_000, 4_000_000, 90_000_000, 4_000_000_000]) {
      const ticks = timeTicks(T0 + 123, T0 + 123 + span)
      expect(ticks.length).toBeLessThanOrEqual(9)
      for (const at of ticks) expect(at % 1000).toBe(0)
    }
  })
})

describe('a chart', () => {
  it('has no line over a gap, marks what happened and shades the phases', () => {
    const points = [0, 1, 2, 60, 61].map((s) => [T0 + s * 1000, s] as const)
    const bands = [{ phase: 'LIVE_SYNC', from: T0, to: T0 + 30_000 }]
    const drawn = chart({ title: 'x', unit: 'ms', points, bands, marks: [{ at: T0 + 61_500, text: 'cutover' }] })
    expect(drawn.match(/<polyline/g)).toHaveLength(2)
    expect(drawn).toContain('following the source')
    expect(drawn).toContain('class="mark"')
    expectSound(htmlPage('x', drawn))
  })
})

describe('the phases of a run', () => {
  it('end where its process was gone', () => {
    const event = (s: number, type: string, text: string) => ({ at: T0 + s * 1000, type, text, actor: '' })
    const sample = (s: number) => ({
      ...{ at: T0 + s * 1000, phase: 'LIVE_SYNC', keys: 0, changes: 0, rate: 0 },
      ...{ lagKeys: 0, lagBytes: 0, lagMs: 0 },
    })
    const events = [
      event(0, 'started', ''),
      event(0, 'phase', 'INITIAL_SYNC'),
      event(10, 'phase', 'LIVE_SYNC'),
      // Killed after 15 s, begun again an hour later.
      event(3600, 'started', ''),
      event(3600, 'phase', 'LIVE_SYNC'),
      event(3605, 'phase', 'COMPLETED'),
    ]
    const bands = phaseBands(events, [sample(11), sample(15)], T0 + 3605_000)
    expect(bands.map(({ phase, from, to }) => [phase, (from - T0) / 1000, (to - T0) / 1000])).toEqual([
      ['INITIAL_SYNC', 0, 10],
      ['LIVE_SYNC', 10, 15],
      ['LIVE_SYNC', 3600, 3605],
    ])
  })
})

describe('a treemap', () => {
  it('has areas of the sizes, and can be entered by prefix', () => {
    const list = [50, 30, 15, 5].map((size) => ({ size }))
    const places = placeTiles(list, { x: 0, y: 0, width: 100, height: 100 })
    for (const [{ size }, { width, height }] of places) expect((width * height) / 100).toBeCloseTo(size, 6)
    const statistics = new KeyStatistics(10)
    for (let i = 0; i < 500; i++)
      for (const name of [`user:${i}:mail`, `user:${i}:name`, `queue:jobs:${i}`, `plain${i}`]) {
        const key = Buffer.from(name)
        statistics.add(0, key, 0, key.length, 'string', 'raw', 100 + i, 1, 0, 1)
      }
    const summary = statistics.summary(10, true)
    const root = summary.tree!
    expect(root.children.reduce((sum, { bytes }) => sum + bytes, 0)).toBeCloseTo(root.bytes)
    expect(root.keys).toBe(2000)
    expect(treemap(root)).toContain('href="#p-1"')
    expectSound(htmlAnalysis('analysis', [['Keys', '2,000']], summary))
  })
})

describe('a comparison', () => {
  it('is grouped, marks what differs, and stays small', () => {
    const text = (value: string) => ({ text: value, byteLength: value.length })
    const long = 'm'.repeat(200)
    const differences = Array.from({ length: 2000 }, (_, i): KeyDifference => {
      const around = aroundDifference(Buffer.from(`${long}${i}x`), Buffer.from(`${long}${i}y`))!
      return {
        ...{ db: 0, key: text(`user:${i}`), kind: 'value', detail: 'the hash differs', repaired: false, partCount: 1 },
        type: { source: 'hash', target: 'hash' },
        expireAt: { source: null, target: null },
        parts: [{ part: 'field', name: text('mail'), source: text(long), target: text(long), around }],
      }
    })
    const report = { compared: 5000, different: 2000, repaired: 0, stillDifferent: 0, nothing: false }
    const page = htmlComparison('a', 'b', { ...report, kinds: { value: 2000 } }, differences)
    expectSound(page)
    expect(page).toContain('<mark>x</mark>')
    expect(page).toContain('1,800 more keys')
    expect(page.length).toBeLessThan(150_000)
  })

  it('cuts long values around the difference, and no character in two', () => {
    expect(aroundDifference(Buffer.from('short'), Buffer.from('shorter'))).toBeNull()
    const found = aroundDifference(Buffer.from(`${'ä'.repeat(1500)}🦀x`), Buffer.from(`${'ä'.repeat(1500)}🦀y`))!
    expect(found.at).toBe(3004)
    expect(found.source.text).toMatch(/^ä+🦀x$/)
    expect(found.target.text).toMatch(/^ä+🦀y$/)
  })
})

describe('a report', () => {
  it('begins with a verdict and tells what was asked, done, left out and compared, in words', () => {
    const migration: StoredMigration = {
      ...{ id: 'm', createdAt: T0, source: 'redis://a', target: 'ferrite://b', mode: 'live', pid: 1 },
      ...{ heartbeatAt: T0 + 20_000, config: '{}', facts: {}, epoch: 1, owner: 'o' },
      status: {
        ...{
          id: 'm',
          state: 'COMPLETED',
          phase: 'COMPLETED',
          source: 'redis://a',
          target: 'ferrite://b',
          mode: 'live',
        },
        ...{ capture: 'psync', apply: 'state', startedAt: T0, updatedAt: T0, keysDone: 5005, keysTotal: 5005 },
        ...{ keysFiltered: 5, keysLeftOut: 2, keysKept: 0, valuesPassed: 0, bytesDone: 123_456, bytesTotal: null },
        ...{
          changesApplied: 1234,
          changesFiltered: 0,
          changeBytes: 0,
          keysWritten: 5000,
          keysSkipped: 0,
          keysDeleted: 0,
        },
        ...{ keysFailed: 0, rate: 0, lagKeys: 0, lagBytes: 0, lagMs: 0, spoolBytes: 0, inSync: true, etaMs: 0 },
        ...{ paused: false, cutoverAt: null, diverging: false, error: null },
      },
    }
    const verification = {
      ...{ compared: 5000, matching: 5000, mismatched: 0, missingSource: 0, missingTarget: 0, differences: [] },
      ...{ equal: true, complete: true, leftOut: 2, foreign: 0, nothing: false, at: T0 },
    }
    const samples = Array.from({ length: 20 }, (_, i) => ({
      ...{ at: T0 + i * 1000, phase: i < 8 ? 'INITIAL_SYNC' : 'LIVE_SYNC', keys: i * 500, changes: i * 5 },
      ...{ rate: i < 8 ? 50_000 : 5, lagKeys: 0, lagBytes: i, lagMs: i },
    }))
    const events = [
      { at: T0, type: 'phase', text: 'INITIAL_SYNC', actor: 'me' },
      { at: T0 + 8000, type: 'phase', text: 'LIVE_SYNC', actor: 'me' },
      { at: T0 + 17_000, type: 'asked-cutover', text: 'dry run', actor: 'a first one' },
      { at: T0 + 17_100, type: 'cutover-fence', text: 'dry run, nobody waits yet', actor: 'me' },
      { at: T0 + 17_200, type: 'cutover-done', text: 'dry run: nothing was changed', actor: 'me' },
      { at: T0 + 18_500, type: 'asked-cutover', text: 'comparing', actor: 'somebody else' },
      { at: T0 + 18_900, type: 'cutover-fence', text: 'writers wait', actor: 'me' },
      { at: T0 + 19_000, type: 'cutover-done', text: 'the target is the one to write to', actor: 'me' },
      { at: T0 + 19_100, type: 'cutover-release', text: 'the fence is down (done)', actor: 'me' },
      { at: T0 + 20_000, type: 'phase', text: 'COMPLETED', actor: 'me' },
    ]
    const page = htmlReport(
      migration,
      {
        plan: null,
        report: {
          ...{ passed: { count: 0, examples: [] }, verification: null, changesSinceVerification: 0 },
          failures: [1, 2, 3].map((n) => ({ db: 0, key: `user:${n}`, reason: `OOM at ${n}` })),
          notCarried: [{ what: 'hash-field-ttl', count: 2, examples: ['<b>'] }],
          cutover: { dryRun: false, downtimeMs: 12, fence: 'pause', verification, slipped: { keys: [], more: false } },
          rollback: null,
        },
      },
      samples,
      events,
      [],
    )
    expectSound(page)
    for (const said of [
      'COMPLETED, VERIFIED',
      'Writers waited',
      '12ms',
      '5,000',
      'hash-field-ttl',
      'first copy <strong>8s',
      '100 ms',
    ])
      expect(page).toContain(said)
    expect(page).not.toMatch(/\{\}|, psync|<b>/)
    const cutover = page.slice(page.indexOf('<h2>Cutover'), page.indexOf('<h2>Verification'))
    expect(cutover.slice(0, cutover.indexOf('Tried before'))).not.toContain('dry run')
    expect(cutover).toMatch(/Tried before[\s\S]*dry run: nothing was changed<\/td><td>a first one/)
    expect(cutover).toContain('the source took writes again')
    // One in each curve of what came behind the copy.
    expect(page.match(/<text[^>]*>cutover<\/text>/g)).toHaveLength(4)
    const failures = page.slice(page.indexOf('Failures by kind'), page.indexOf('Each of them'))
    expect(failures).toMatch(/OOM at 1<\/td><td class="n">3<\/td><td>user:1, user:2, user:3/)
    const asked = page.slice(page.indexOf('Who did what'), page.indexOf('Audit trail'))
    expect(asked).toContain('somebody else')
    expect(asked).not.toContain('cutover-fence')
    // The first copy does not flatten what follows.
    const following = page.slice(page.indexOf('Following: changes'), page.indexOf('Behind, in bytes'))
    const heights = [...following.matchAll(/points="([^"]+)"/g)].flatMap(([, points]) =>
      points.split(' ').map((point) => Number(point.split(',')[1])),
    )
    expect(Math.min(...heights)).toBeLessThan(100)
  })
})
