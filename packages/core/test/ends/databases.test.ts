import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../dist/config/config.js'
import { chooseDatabases } from '../../dist/ends/databases.js'

describe('databases', () => {
  const { filter } = resolveConfig({ source: 'redis://a', target: 'redis://b' })
  const choose = (
    source: number | undefined,
    target: { database?: number; refuses?: (db: number) => string | null },
    sizes: [number, number][] | null,
    dbMap: Record<string, number> = {},
  ) =>
    chooseDatabases(
      { filter, dbMap },
      source === undefined ? {} : { database: source },
      {
        ...(target.database === undefined ? {} : { database: target.database }),
        refusesDatabase: async (db: number) => target.refuses?.(db) ?? null,
      },
      sizes === null ? null : new Map(sizes),
    )

  it('in the address of the target takes the one database that the source has', async () => {
    expect(await choose(undefined, { database: 3 }, [[0, 5]])).toMatchObject({ dbMap: { 0: 3 }, only: 0 })
    expect(await choose(undefined, { database: 3 }, [[3, 5]])).toMatchObject({ dbMap: {}, only: 3 })
    expect(await choose(undefined, { database: 3 }, null)).toMatchObject({ dbMap: { 0: 3 }, only: 0 })
  })

  it('in the address of the target is refused for several, with what to write', async () => {
    const { findings } = await choose(undefined, { database: 3 }, [
      [0, 5],
      [1, 2],
    ])
    expect(findings).toMatchObject([
      { level: 'fail', code: 'FM_DB_SEVERAL', text: expect.stringContaining('--db-map 0:3,1:4') },
    ])
  })

  it('in the address of the source means that one alone, and what stays behind is said', async () => {
    const choice = await choose(1, {}, [
      [0, 5],
      [1, 2],
    ])
    expect(choice.filter.dbs).toEqual([1])
    expect(choice.findings).toMatchObject([{ level: 'warn', text: expect.stringContaining('5 keys') }])
  })

  it('that the target refuses are found before anything is written, as they are mapped', async () => {
    const refuses = (db: number): string | null => (db >= 4 ? `the target has no database ${db}` : null)
    const cases: [[number, number][], Record<string, number>][] = [
      [[[9, 1]], {}],
      [[[0, 1]], { 0: 7 }],
    ]
    for (const [sizes, dbMap] of cases) {
      const { findings } = await choose(undefined, { refuses }, sizes, dbMap)
      expect(findings).toMatchObject([{ level: 'fail', code: 'FM_DB_RANGE' }])
    }
    expect((await choose(undefined, { refuses }, [[9, 1]], { 9: 2 })).findings).toEqual([])
  })
})
