import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { Dialect, KeyReader, SourceSurvey } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { analyzeSource, type SourceAnalysisOptions } from '../../dist/index.js'
import { record } from '../doubles.js'

/** A server in memory that tells of itself. */
class Server extends MemorySource {
  readonly database: number | undefined
  private readonly data: MemoryStore
  private readonly more: Partial<SourceSurvey>

  constructor(store: MemoryStore, more: Partial<SourceSurvey> = {}, database?: number) {
    super(store)
    this.data = store
    this.more = more
    this.database = database
  }

  async survey(): Promise<SourceSurvey> {
    const keys = new Map<number, number>()
    for (const { db } of this.data.records.values()) keys.set(db, (keys.get(db) ?? 0) + 1)
    return {
      ...{ product: 'Redis', version: '7.0', keys, usedMemory: 1, commands: new Map([['GET', 5]]), modules: [] },
      ...{ functions: 0, scripts: 0, users: 0, role: 'master', cluster: false },
      ...this.more,
    }
  }

  override reader(): KeyReader {
    const { data } = this
    return {
      ...data.reader(),
      keys: async function* (filter) {
        const wanted = [...data.records.values()].filter(({ db }) => filter?.dbs?.includes(db) ?? true)
        for (let from = 0; from < wanted.length; from += 100) yield wanted.slice(from, from + 100)
      },
      describe: async (db, keys) =>
        keys.map((key) =>
          data.get(db, key) === null
            ? null
            : { type: 'string', encoding: 'raw', bytes: 100, elements: 1, expireAt: data.get(db, key)?.expireAt ?? 0 },
        ),
    }
  }
}

class Knowing extends MemoryTarget {
  override readonly dialect: Dialect
  readonly advisedLanes = 6

  constructor(store: MemoryStore, facts: Record<string, string> = {}) {
    super(store)
    this.dialect = { ...new MemoryTarget().dialect, facts }
  }

  knows(command: string): boolean {
    return command !== 'FT.SEARCH'
  }
}

let store: MemoryStore
beforeEach(() => {
  store = new MemoryStore()
  for (let i = 0; i < 600; i++) store.set(record(`user:${i}`))
  for (let i = 0; i < 300; i++) store.set(record(`cache:${i}`, 'v', Date.now() + 1000, 1))
})
const options = (given: Partial<SourceAnalysisOptions> = {}): SourceAnalysisOptions => ({
  ...{ sample: 100_000, full: false, topKeys: 5, topPatterns: 5, maxRate: 1e9 },
  signal: new AbortController().signal,
  ...given,
})
const texts = (list: readonly { level: string; text: string }[]): string[] =>
  list.map(({ level, text }) => `${level} ${text}`)

describe('a live source', () => {
  it('is looked at whole', async () => {
    const told: [number, number][] = []
    const found = await analyzeSource(
      new Server(store),
      null,
      options({ full: true, onProgress: (keys, of) => told.push([keys, of]) }),
    )
    expect(found).toMatchObject({ totalKeys: 900, lookedAt: 900, error: 0, writeTest: null })
    expect(found.summary).toMatchObject({ keys: 900, bytes: 90_000 })
    expect(found.summary.databases).toEqual([
      { db: 0, keys: 600 },
      { db: 1, keys: 300 },
    ])
    expect(told.at(-1)).toEqual([900, 900])
    expect(found.recommendations).toContain('Consider excluding: cache:* (ephemeral data)')
  })

  it('is told of by a sample, of each database in proportion', async () => {
    const found = await analyzeSource(new Server(store), null, options({ sample: 90 }))
    expect(found.lookedAt).toBe(500)
    expect(found.summary.keys).toBe(900)
    expect(found.summary.databases).toEqual([
      { db: 0, keys: 600 },
      { db: 1, keys: 300 },
    ])
    expect(found.error).toBeCloseTo(0.98 / Math.sqrt(500))
  })

  it('whose address names a database is looked at there only', async () => {
    const found = await analyzeSource(new Server(store, {}, 1), null, options())
    expect([found.totalKeys, found.summary.databases]).toEqual([300, [{ db: 1, keys: 300 }]])
  })

  it('is written to the target for a moment, to see how long it takes', async () => {
    const target = new MemoryStore()
    target.set(record('theirs'))
    const found = await analyzeSource(new Server(store, {}, 0), new Knowing(target), options())
    expect(found.writeTest?.keys).toBe(600)
    expect([...target.records.values()]).toEqual([record('theirs')])
    expect(found.estimate?.mostMs).toBeCloseTo((found.estimate?.leastMs ?? 0) * 2)
    expect(found.recommendations).toContain('Recommended parallel workers: 6')
    expect(texts(found.compatibility)).toEqual(['ok All commands compatible', 'ok No blocking issues found'])
  })

  it('is warned of what the target lacks', async () => {
    const commands = new Map([
      ['FT.SEARCH', 1234],
      ['PFADD', 1],
      ['HPEXPIRE', 1],
      ['SLOWLOG', 9],
    ])
    const more = { commands, modules: ['search'], functions: 2, scripts: 3, users: 4, cluster: true }
    const target = new Knowing(new MemoryStore(), { hyperLogLog: 'no', fieldExpiry: 'no' })
    const { compatibility } = await analyzeSource(new Server(store, more), target, options())
    const warned = texts(compatibility)
    expect(warned[0]).toBe('warn 1 commands that were used are unknown to the target: FT.SEARCH (1,234 calls)')
    expect(warned).toHaveLength(8)
    for (const word of ['HyperLogLogs', 'hash fields', 'search', '2 function', '3 Lua', '4 ACL', 'cluster node'])
      expect(warned.filter((text) => text.startsWith('warn') && text.includes(word))).toHaveLength(1)
  })

  it('that cannot be looked at key by key is refused', async () => {
    await expect(analyzeSource(new MemorySource(store), null, options())).rejects.toMatchObject({
      code: 'FM_ANALYZE_UNSUPPORTED',
    })
  })
})
