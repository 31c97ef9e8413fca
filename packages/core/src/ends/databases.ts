import type { Finding, Source, Target } from '@ferrite-migrate/contracts'
import type { FilterConfig, ResolvedConfig } from '../config/config.js'
import { RecordFilter } from '../records/key-filter.js'

/** Which databases are taken, and which they become, once both ends are known. */
export interface DatabaseChoice {
  readonly filter: FilterConfig
  readonly dbMap: Readonly<Record<string, number>>
  /** The one database whose keys may be written, where the target's address names one for all; null = any. */
  readonly only: number | null
  readonly findings: readonly Finding[]
}

type TargetEnd = Pick<Target, 'database' | 'refusesDatabase'> & Partial<Pick<Target, 'dialect'>>

/**
 * A database in the address of the source means that one alone; one in the address of the target means that the keys of
 * the one database of the source go there. Every database that is going to be written to is looked for at the target.
 * @param sizes keys per database of the source; null = not known before they come
 */
export async function chooseDatabases(
  config: Pick<ResolvedConfig, 'filter' | 'dbMap'>,
  source: Pick<Source, 'database'>,
  target: TargetEnd,
  sizes: ReadonlyMap<number, number> | null,
): Promise<DatabaseChoice> {
  const findings: Finding[] = []
  const filter = sourceFilter(config.filter, source)
  const taken = new RecordFilter(filter)
  const dbs = sizes === null ? null : [...sizes].filter(([db, keys]) => keys > 0 && taken.takesDb(db)).map(([db]) => db)
  if (source.database !== undefined && config.filter.dbs.length === 0) {
    let others = 0
    for (const [db, keys] of sizes ?? []) if (db !== source.database) others += keys
    findings.push({
      level: others > 0 ? 'warn' : 'info',
      code: 'source-database',
      text: `only database ${source.database} is taken, since the address of the source names it${others > 0 ? `: ${others.toLocaleString('en-US')} keys in other databases stay behind` : ''}`,
    })
  }
  let { dbMap } = config
  let only: number | null = null
  if (target.database !== undefined) {
    const { database } = target
    const mapped = Object.keys(dbMap)
    if (mapped.length === 0 && (dbs === null || dbs.length <= 1)) {
      const [from = filter.dbs.length === 1 ? filter.dbs[0] : 0] = dbs ?? []
      dbMap = from === database ? {} : { [from]: database }
      only = from
      if (from !== database)
        findings.push({
          level: 'info',
          code: 'target-database',
          text: `keys of database ${from} go to database ${database}, since the address of the target names it`,
        })
    } else if (mapped.length === 0)
      findings.push({
        level: 'fail',
        code: 'FM_DB_SEVERAL',
        text: `the address of the target names database ${database}, and the source has keys in databases ${dbs!.join(', ')}: say where each goes, such as --db-map ${dbs!.map((db, i) => `${db}:${database + i}`).join(',')}, or leave /${database} out`,
      })
    else if (mapped.length === 1 && dbMap[mapped[0]] === database) only = Number(mapped[0])
  }
  if (!findings.some(({ level }) => level === 'fail'))
    for (const db of new Set([...(dbs ?? []).map((one) => dbMap[one] ?? one), ...Object.values(dbMap)])) {
      const refusal = (await target.refusesDatabase?.(db)) ?? null
      if (refusal !== null)
        findings.push({ level: 'fail', code: 'FM_DB_RANGE', text: placeless(db, dbMap, sizes, refusal, target) })
    }
  return { filter, dbMap, only, findings }
}

/** The filter with the database that the address of the source names. */
export function sourceFilter(filter: FilterConfig, { database }: Pick<Source, 'database'>): FilterConfig {
  return database === undefined || filter.dbs.length > 0 ? filter : { ...filter, dbs: [database] }
}

function placeless(
  db: number,
  dbMap: Readonly<Record<string, number>>,
  sizes: ReadonlyMap<number, number> | null,
  refusal: string,
  target: TargetEnd,
): string {
  const from = Object.entries(dbMap).find(([, to]) => to === db)?.[0] ?? String(db)
  const keys = sizes?.get(Number(from))
  const what = keys === undefined ? '' : ` (for ${keys.toLocaleString('en-US')} keys of database ${from})`
  if (target.dialect?.needsPlaces === true)
    return `${refusal}${what}: put it into database 0 with --db-map ${from}:0, or take others only (--db)`
  return `${refusal}${what}: map it to one that is there with --db-map ${from}:N, or raise "databases" at the target`
}
