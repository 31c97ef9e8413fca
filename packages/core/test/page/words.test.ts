import { describe, expect, it } from 'vitest'
import {
  eventText,
  filterWords,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  resolveConfig,
} from '../../dist/index.js'

describe('figures for people', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KB'],
    [150 * 1024, '150 KB'],
    [1.5 * 1024 ** 3, '1.5 GB'],
    [5000 * 1024 ** 5, '5000 PB'],
  ])('%i bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

  it.each([
    [999, '999ms'],
    [3400, '3s'],
    [59_499, '59s'],
    [59_500, '1m 0s'],
    [754_000, '12m 34s'],
    [3_720_000, '1h 2m'],
    [47 * 3_600_000, '47h 0m'],
    [49 * 3_600_000, '2d 1h'],
  ])('%i ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

  it('are grouped, and times are UTC', () => {
    expect([formatCount(1234567.8), formatTime(Date.UTC(2026, 10, 28, 6, 9, 1))]).toEqual([
      '1,234,568',
      '2026-11-28 06:09:01',
    ])
  })
})

describe('words', () => {
  it('of a filter tell each part of it', () => {
    const { filter } = resolveConfig({
      ...{ source: 'a://', target: 'b://' },
      filter: {
        ...{ include: ['a*'], excludeRegex: ['b$'], minSize: 1024, maxTtlMs: 60_000, slots: ['0-5'], types: ['hash'] },
        ...{ dbs: [1, 2], expiry: 'expiring' },
      },
    })
    expect(filterWords(filter)).toEqual([
      ...['include a*', 'exclude /b$/', 'values from 1.0 KB', 'living at most 1m 0s more', 'slots 0-5', 'types hash'],
      ...['databases 1, 2', 'only expiring keys'],
    ])
    expect(filterWords(resolveConfig({ source: 'a://', target: 'b://' }).filter)).toEqual([])
  })

  it('of an event are a sentence', () => {
    expect(eventText({ type: 'phase', text: 'INITIAL_SYNC' })).toBe('entered INITIAL_SYNC (first copy)')
    expect(eventText({ type: 'cutover-scheduled', text: '2026-11-28T06:00:00.000Z' })).toBe(
      'a cutover is scheduled for 2026-11-28T06:00:00Z',
    )
    expect(eventText({ type: 'note', text: 'a\x1b[2J' })).not.toContain('\x1b')
  })
})
