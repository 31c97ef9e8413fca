import { columnsOf, etaText, fit, nextStep, statusLine, statusLines, table, width } from '@ferrite-migrate/cli-kit'
import { type MigrationStatus, nearest } from '@ferrite-migrate/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { commandLine } from '../../cli/dist/command-line.js'
import { cli } from './tool.js'

const status = {
  id: 'm1',
  state: 'RUNNING',
  phase: 'LIVE_SYNC',
  source: 'redis://a',
  target: 'ferrite://b',
  mode: 'live',
  capture: 'psync',
  apply: 'state',
  startedAt: 0,
  updatedAt: 1000,
  keysDone: 5005,
  keysTotal: 5005,
  keysFiltered: 2250,
  keysLeftOut: 0,
  keysKept: 0,
  valuesPassed: 0,
  bytesDone: 1000,
  bytesTotal: null,
  changesApplied: 5,
  changesFiltered: 5,
  changeBytes: 10,
  keysWritten: 2755,
  keysSkipped: 0,
  keysDeleted: 0,
  keysFailed: 0,
  rate: 0,
  lagKeys: 51,
  lagBytes: 900,
  lagMs: 21,
  spoolBytes: 0,
  inSync: true,
  etaMs: 705_000,
  paused: false,
  cutoverAt: null,
  diverging: false,
  error: null,
} satisfies MigrationStatus

describe('words on the screen', () => {
  it('are those of what happened: read, written, filtered out', () => {
    const text = statusLines(status).join('\n')
    expect(text).toContain('Keys migrated:   2,755 (5,005 / 5,005 read, 2,250 filtered out)')
    expect(text).toContain('Changes applied: 5, 5 filtered out')
    expect(statusLine(status)).toMatch(/read 5,005 \/ 5,005 {2}written 2,755 {2}filtered out 2,250 {2}changes 5/)
  })

  it('fit the run: a file is not followed, and a snapshot has no lag', () => {
    for (const over of [
      { capture: 'file', mode: 'snapshot' },
      { capture: 'file, rebuilt in a server of our own', mode: 'snapshot' },
      { capture: 'file', mode: 'live' },
    ]) {
      const text = statusLines({ ...status, ...over }).join('\n') + statusLine({ ...status, ...over })
      expect(text).not.toMatch(/LIVE_SYNC|Lag|lag|snapshot of the source/)
    }
    const copying = { ...status, mode: 'snapshot', phase: 'INITIAL_SYNC' as const }
    expect(statusLines(copying).join('\n')).toContain('Phase: INITIAL_SYNC (copying)')
    expect(statusLine(copying)).not.toContain('lag')
  })

  it('call it in sync when nobody would wait for what is behind', () => {
    expect(etaText(status)).toBe('in sync')
    expect(etaText({ ...status, paused: true })).toBe('paused')
    expect(etaText({ ...status, phase: 'CUTOVER' })).toBe('-')
    expect(etaText({ ...status, lagKeys: null, lagBytes: null, inSync: false })).toBe('not observed')
    expect(etaText({ ...status, inSync: false, lagKeys: 1e6, etaMs: 1e9 })).toBe('more than a day')
    expect(etaText({ ...status, diverging: true })).toMatch(/not converging/)
  })

  it('say what can be done next', () => {
    expect(nextStep(status, {})).toEqual(['Ctrl-C stops and saves.  Switch over: ferrite-migrate cutover --id m1'])
    expect(nextStep({ ...status, phase: 'INITIAL_SYNC' }, { stateDir: '/s' })).toEqual([
      'Ctrl-C stops and saves.  Go on later: ferrite-migrate migrate --resume m1 --state-dir /s',
    ])
    expect(nextStep({ ...status, paused: true }, {})[0]).toContain('resume --id m1')
    expect(nextStep({ ...status, phase: 'STOPPING' }, {})[0]).toContain('Stopping')
    expect(nextStep({ ...status, cutoverAt: 0 }, {})[0]).toContain('--cancel')
  })
})

describe('the width of a terminal', () => {
  const piece = fc.constantFrom('ab', 'word', ' ', '/', ':', ', ', '⚠️ ', '日本', 'x', '✅', 'é', '=')
  const line = fc.array(piece, { maxLength: 60 }).map((parts) => parts.join(''))

  it('is never exceeded, and no letter is lost', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 20, max: 100 }), fc.boolean(), (text, columns, hanging) => {
        const lines = fit([text], columns, hanging)
        for (const one of lines) expect(width(one)).toBeLessThanOrEqual(columns)
        expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''))
      }),
      { seed: 5, numRuns: 3000 },
    )
  })

  it('wraps between words, below what they belong to', () => {
    expect(fit(['⚠️  repl-backlog-size is small: after a lost link a full resync'], 40)).toEqual([
      '⚠️  repl-backlog-size is small: after a',
      '    lost link a full resync',
    ])
    expect(fit(['═'.repeat(55)], 40)).toEqual(['═'.repeat(40)])
    expect(fit(['x'.repeat(500)], Number.POSITIVE_INFINITY)).toHaveLength(1)
    expect([columnsOf({}), columnsOf({ isTTY: true, columns: 3 })]).toEqual([Number.POSITIVE_INFINITY, 20])
  })

  it('turns rows into blocks where a table does not fit', () => {
    const rows = [['m1', 'COMPLETED', 'redis://127.0.0.1:6379 -> ferrite://127.0.0.1:6380']]
    expect(table(['Id', 'State', 'From, to'], rows, 100)).toEqual([
      'Id  State      From, to',
      'm1  COMPLETED  redis://127.0.0.1:6379 -> ferrite://127.0.0.1:6380',
    ])
    expect(table(['Id', 'State', 'From, to'], rows, 40)[0]).toBe('m1')
  })
})

describe('mistakes on the command line', () => {
  it('are told in one way, with what was probably meant', async () => {
    const cases: [string[], RegExp][] = [
      [['migrat'], /there is no command migrat\n {2}Did you mean ferrite-migrate migrate\?/],
      [['mirgate', '--source', 'x'], /Did you mean ferrite-migrate migrate\?/],
      [['migrate', '--sorce', 'x'], /there is no flag --sorce\n {2}Did you mean --source\?/],
      [['migrate', '--mode', 'foo'], /--mode must be one of live, snapshot, incremental, not "foo"/],
      [['migrate', '--parallel', 'x'], /--parallel must be a whole number/],
      [['migrate', '--until-lag', '3'], /--until-lag needs --exit/],
      [['import-rdb'], /FILE is missing/],
      [['verify', 'x'], /takes no such argument: x/],
      [['help', 'migrat'], /Did you mean ferrite-migrate migrate\?/],
      [['migrate', '-s', 'redis-clutser://a', '-t', 'redis://b'], /Did you mean redis-cluster:/],
    ]
    for (const [args, told] of cases) {
      const { code, output } = await cli(args)
      expect([args, code]).toEqual([args, 2])
      expect(output).toMatch(told)
      expect(output).toMatch(/^Error FM_[A-Z_]+: .+\n {2}.+\n$/)
    }
    expect(JSON.parse((await cli(['migrat', '--json'])).output)).toMatchObject({ error: { code: 'FM_USAGE' } })
  })

  it('are no commands', () => {
    expect(commandLine(['help', 'migrate'])).toEqual(['migrate', '--help'])
    expect(commandLine(['version'])).toEqual(['version'])
    expect(commandLine(['-V'])).toEqual(['--version'])
    expect(commandLine(['-h'])).toEqual(['-h'])
    expect(commandLine(['--source', 'x'])).toEqual(['migrate', '--source', 'x'])
    expect(nearest('stat', ['status', 'start', 'list'])).toBe('status')
    expect(nearest('zzzz', ['status', 'list'])).toBeUndefined()
  })
})

describe('help', () => {
  it('has groups, one line of usage and no broken word', async () => {
    const { output, code } = await cli(['migrate', '-h'])
    expect(code).toBe(0)
    const groups = ['SOURCE AND TARGET', 'WHICH KEYS', 'LIVE AND INCREMENTAL', 'NAMES AND VALUES', 'SAFETY', 'SPEED']
    const places = groups.map((name) => output.indexOf(`${name} FLAGS`))
    expect(places.every((place, i) => place > (places[i - 1] ?? 0))).toBe(true)
    expect(output).toMatch(/USAGE\n {2}\$ ferrite-migrate migrate \[FLAGS\]\n\n/)
    expect(output).toContain('snapshot: copy once')
    // Examples are to be copied, not wrapped.
    for (const line of output.split('EXAMPLES')[0].split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect((await cli(['help', 'migrate'])).output).toBe(output)
  })
})
