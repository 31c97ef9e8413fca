import type { Contents, Dialect, TargetHolds } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { contentFindings } from '../../dist/ends/content-findings.js'
import { resolveConfig } from '../../dist/index.js'

const contents = (given: Partial<Contents>): Contents => ({
  ...{ keys: 10, rdbVersion: 11, valkey: false, expired: 0, databases: new Map([[0, 10]]), hashesWithFieldExpiry: 0 },
  ...{ hyperLogLogs: 0, streams: 0, functions: 0, modules: new Map() },
  ...given,
})
const dialect = (lacks: Partial<TargetHolds> = {}, rendering: Dialect['rendering'] = 'typed'): Dialect => ({
  ...{ product: 'x', rendering, replay: false, replayRefusals: [], facts: {} },
  holds: { fieldExpiry: true, hyperLogLog: true, databases: true, ...lacks },
})
const config = (given = {}) => resolveConfig({ source: 'a://', target: 'b://', ...given })
const found = (of: Partial<Contents>, to = dialect(), given = {}): string[] =>
  contentFindings(contents(of), to, config(given)).map(({ level, code, text }) => `${level} ${code}: ${text}`)

describe('what a target cannot hold', () => {
  it('is nothing where it takes everything', () => {
    expect(found({ hashesWithFieldExpiry: 3, hyperLogLogs: 2, streams: 5 })).toEqual([])
  })

  it('is carried without, left out or refused, as was asked', () => {
    const of = { hashesWithFieldExpiry: 1 }
    const to = dialect({ fieldExpiry: false })
    expect(found(of, to)).toEqual([
      'warn content-field-ttl: 1 hash has fields that expire, which the target does not know: they are carried without it and counted',
    ])
    expect(found(of, to, { unsupported: 'skip' })[0]).toMatch(/^warn .*: such keys are left out and counted$/)
    expect(found(of, to, { unsupported: 'fail' })[0]).toMatch(/^fail .*the run is refused/)
  })

  it('is said of the whole file, of which a filter may take a part', () => {
    expect(found({ hyperLogLogs: 2 }, dialect({ hyperLogLog: false }), { filter: { include: ['a'] } })[0]).toMatch(
      /^warn content-hyperloglog: 2 HyperLogLogs, .*\(of the whole file: the filter may leave them out\)$/,
    )
  })

  it('may be values of modules, which travel only to a server with the same one', () => {
    const of = { modules: new Map([['ReJSON', 3]]) }
    expect(found(of)[0]).toMatch(/^warn content-module: 3 values of the module ReJSON, which the target does not know/)
    expect(found(of, dialect({}, 'restore'))[0]).toMatch(/carried where the target has it loaded/)
  })

  it('may be libraries of functions, which it may take', () => {
    expect(found({ functions: 1 })).toEqual([
      'info content-functions: 1 function library: loaded at the target where it takes them, else counted as not carried',
    ])
  })

  it('are databases beyond the first where it has one only', () => {
    const of = {
      databases: new Map([
        [0, 1],
        [5, 1],
      ]),
    }
    expect(found(of, dialect({ databases: false }))).toEqual([
      'fail content-databases: there are keys in database 5, and the target has database 0 only: map it with --db-map 5:0',
    ])
    expect(found(of, dialect({ databases: false }), { dbMap: { 5: 0, 0: 0 } })).toEqual([])
  })
})
