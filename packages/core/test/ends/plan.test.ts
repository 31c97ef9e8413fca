import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { Dialect, Source } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import {
  type MigrationConfig,
  makePlan,
  NO_TRANSFORM,
  type Plan,
  RecordTransform,
  resolveConfig,
} from '../../dist/index.js'

/** A target with Redis semantics, that knows these commands at most. */
class Replaying extends MemoryTarget {
  override readonly dialect: Dialect
  readonly advisedLanes = 3
  private readonly unknown: readonly string[]

  constructor(refusals: readonly string[], unknown: readonly string[]) {
    super()
    this.unknown = unknown
    this.dialect = {
      ...{
        product: 'memory',
        rendering: 'restore',
        replay: refusals.length === 0,
        replayRefusals: refusals,
        facts: {},
      },
    }
  }

  knows(command: string): boolean {
    return !this.unknown.includes(command)
  }
}

interface Given {
  readonly config?: Partial<MigrationConfig>
  readonly source?: Partial<Source>
  readonly refusals?: readonly string[]
  readonly unknown?: readonly string[]
  readonly needsValue?: boolean
  readonly transform?: RecordTransform
}

function plan({
  config,
  source,
  refusals = [],
  unknown = [],
  needsValue = false,
  transform = NO_TRANSFORM,
}: Given): Plan {
  const made: Source = {
    ...{ capabilities: { changes: 'lossless', resume: 'both' }, shards: [], description: { product: 'redis' } },
    reader: () => new MemoryStore().reader(),
    [Symbol.asyncDispose]: async () => undefined,
    ...source,
  }
  const resolved = resolveConfig({ source: 'redis://u:hidden@a', target: 'ferrite://b', ...config })
  return makePlan(resolved, made, new Replaying(refusals, unknown), [], needsValue, transform, 7)
}
/** A source that can only be read from its start to its end. */
const file: Partial<Source> = {
  reader: undefined,
  commands: new Map([
    ['HSETEX', 1],
    ['GET', 5],
  ]),
}
const valued = new RecordTransform({
  ...{ keyRules: [], valueRules: [], script: null, template: null, dbs: new Map(), end: () => 0, onError: 'fail' },
})

describe('a plan', () => {
  it('replays where the stream loses nothing and the target is like the source', () => {
    expect(plan({})).toMatchObject({
      ...{ apply: 'replay', source: 'redis://a', keys: 7, lanes: 3, findings: [], transforms: [] },
      reasons: [expect.stringContaining('Redis semantics')],
    })
    expect(plan({ config: { parallel: 9 } }).lanes).toBe(9)
  })

  it.each<[string, Given, string]>([
    ['a lossy stream', { source: { capabilities: { changes: 'lossy', resume: 'none' } } }, 'lossless stream'],
    ['a target that is otherwise', { refusals: ['it has no MULTI'] }, 'it has no MULTI'],
    ['a filter by value', { needsValue: true }, 'a filter by type or expiry'],
    ['values that are changed', { transform: valued }, 'values are transformed'],
  ])('applies by state for %s', (_, given, why) => {
    expect(plan(given)).toMatchObject({ apply: 'state', findings: [], reasons: [expect.stringContaining(why)] })
    expect(plan({ ...given, config: { apply: 'replay' } }).findings).toMatchObject([
      { level: 'fail', code: 'FM_APPLY_REPLAY', text: expect.stringContaining(why) },
    ])
    // Then changed keys are read, and a file cannot do that; a snapshot alone has no changes.
    const of = { ...given, source: { ...file, ...given.source } }
    expect(plan(of).findings).toMatchObject([{ level: 'fail', code: 'FM_SOURCE_UNREADABLE' }])
    expect(plan({ ...of, config: { mode: 'snapshot' } }).findings).toEqual([])
  })

  it('applies by state where that is asked for', () => {
    expect(plan({ config: { apply: 'state' } })).toMatchObject({
      apply: 'state',
      reasons: [expect.stringContaining('as asked')],
    })
  })

  it('refuses a file with commands that the target does not know', () => {
    expect(plan({ source: file, unknown: ['HSETEX', 'GET'] }).findings).toMatchObject([
      { code: 'FM_SOURCE_UNREADABLE', text: expect.stringMatching(/know HSETEX, which/) },
    ])
    expect(plan({ source: file }).findings).toEqual([])
  })

  it('tells in words what is changed on the way', () => {
    const config = { keyTemplate: 'a:{key}', dbMap: { 1: 2 }, ttl: 'none' as const, ttlFactor: 2 }
    expect(plan({ config }).transforms).toEqual([
      ...['no ends', 'what is left to live times 2', 'names a:{key}', 'database 1 to 2'],
    ])
  })
})
