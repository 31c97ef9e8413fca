import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DirtyKey,
  type KeyDescription,
  type KeyReader,
  MigrateError,
  type SnapshotRecord,
  type Source,
  type SourceSurvey,
  type Target,
} from '@ferrite-migrate/contracts'
import { SLICE_LIMIT } from '@ferrite-migrate/protocol'
import { KeyStatistics, type KeySummary } from './key-statistics.js'

export interface SourceAnalysisOptions {
  /** Keys to look at; those of each database in proportion. */
  readonly sample: number
  /** Look at every key. */
  readonly full: boolean
  readonly topKeys: number
  readonly topPatterns: number
  /** Also the prefixes below one another, for a page. */
  readonly tree?: boolean
  /** Keys looked at per second at most. */
  readonly maxRate: number
  readonly signal: AbortSignal
  onProgress?(keys: number, of: number): void
}

export interface CompatibilityNote {
  readonly level: 'ok' | 'warn'
  readonly text: string
}

/** A short test of writing the source's own values to the target, under temporary names that are removed again. */
export interface WriteTest {
  readonly keys: number
  readonly bytes: number
  readonly ms: number
}

export interface SourceAnalysis {
  readonly survey: SourceSurvey
  readonly totalKeys: number
  readonly lookedAt: number
  /** Half the width of the 95% confidence interval of shares, 0 when everything was looked at. */
  readonly error: number
  readonly summary: KeySummary
  readonly compatibility: readonly CompatibilityNote[]
  readonly recommendations: readonly string[]
  readonly writeTest: WriteTest | null
  /** Expected time of the initial copy, ms; null = unknown. */
  readonly estimate: { readonly leastMs: number; readonly mostMs: number } | null
}

const PAGE = 250
const TEST_KEYS = 4000
const TEST_BYTES = 32 << 20
/** Commands of connections, monitoring and administration: applications can do without them at the target. */
const ADMINISTRATIVE = new Set(
  'ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DEBUG ECHO FAILOVER HELLO INFO LASTSAVE LATENCY MEMORY MODULE MONITOR OBJECT PING PSYNC QUIT REPLCONF REPLICAOF RESET ROLE SAVE SELECT SHUTDOWN SLAVEOF SLOWLOG SWAPDB SYNC TIME WAIT WAITAOF'.split(
    ' ',
  ),
)
const EPHEMERAL = /^(te?mp|cache|lock|rate|throttle)/i

/**
 * Looks at a live source: what it holds, whether a target can take it, how long that would take. Reads names by SCAN, at a
 * bounded rate; writes nothing to the source.
 * @throws MigrateError FM_ANALYZE_UNSUPPORTED for sources that cannot be looked at key by key
 */
export async function analyzeSource(
  source: Source,
  target: Target | null,
  options: SourceAnalysisOptions,
): Promise<SourceAnalysis> {
  const whole = await source.survey?.()
  // An address that names a database means that one.
  const survey = whole && {
    ...whole,
    keys: new Map([...whole.keys].filter(([db]) => source.database === undefined || db === source.database)),
  }
  const reader = source.reader?.()
  if (survey === undefined || reader?.describe === undefined) {
    await reader?.close()
    throw new MigrateError(
      'FM_ANALYZE_UNSUPPORTED',
      'only a live server can be analyzed so',
      'For files there are analyze-rdb and analyze-aof.',
    )
  }
  const testKeys: DirtyKey[] = []
  const statistics = new KeyStatistics(options.topKeys)
  const totalKeys = [...survey.keys.values()].reduce((sum, keys) => sum + keys, 0)
  try {
    const startedAt = Date.now()
    const lookedAt = await look(reader, survey, statistics, testKeys, options)
    const readMs = Date.now() - startedAt
    const summary = statistics.summary(options.topPatterns, options.tree)
    const writeTest = target === null ? null : await testWrites(reader, target, testKeys)
    const estimate = estimateOf(totalKeys, lookedAt, readMs, writeTest)
    return {
      survey,
      totalKeys,
      lookedAt,
      error: lookedAt >= totalKeys || lookedAt === 0 ? 0 : 0.98 / Math.sqrt(lookedAt),
      summary,
      compatibility: compatibilityOf(survey, summary, target),
      recommendations: recommendationsOf(summary, target, writeTest, estimate),
      writeTest,
      estimate,
    }
  } finally {
    await reader.close()
  }
}

/** Looks at keys in the order of SCAN, which is that of their hashes: as good as drawing lots. */
async function look(
  reader: KeyReader,
  survey: SourceSurvey,
  statistics: KeyStatistics,
  testKeys: DirtyKey[],
  options: SourceAnalysisOptions,
): Promise<number> {
  const total = [...survey.keys.values()].reduce((sum, keys) => sum + keys, 0)
  let lookedAt = 0
  const startedAt = Date.now()
  for (const [db, size] of survey.keys) {
    const wanted = options.full ? size : Math.min(size, Math.max(PAGE, Math.ceil((options.sample * size) / total)))
    const found: { key: Buffer; description: KeyDescription }[] = []
    let seen = 0
    const flush = (weight: number): void => {
      for (const { key, description } of found.splice(0))
        statistics.add(
          db,
          key,
          0,
          key.length,
          description.type,
          description.encoding,
          description.bytes ?? 0,
          description.elements,
          description.expireAt,
          weight,
        )
    }
    scan: for await (const page of reader.keys({ dbs: [db] })) {
      for (let from = 0; from < page.length; from += PAGE) {
        if (options.signal.aborted || seen >= wanted) break scan
        const part = page.slice(from, Math.min(from + PAGE, from + wanted - seen))
        const described = await reader.describe!(
          db,
          part.map(({ key }) => key),
        )
        for (const [i, description] of described.entries()) {
          if (description === null) continue
          found.push({ key: part[i].key, description })
          if (testKeys.length < TEST_KEYS) testKeys.push(part[i])
        }
        seen += part.length
        lookedAt += part.length
        if (options.full) flush(1)
        options.onProgress?.(lookedAt, options.full ? total : Math.min(total, options.sample))
        const early = (lookedAt / options.maxRate) * 1000 - (Date.now() - startedAt)
        if (early > 1) await sleep(early)
      }
    }
    if (found.length > 0) flush(options.full ? 1 : size / found.length)
  }
  return lookedAt
}

/** Writes sampled values under temporary names and removes them. */
async function testWrites(reader: KeyReader, target: Target, keys: readonly DirtyKey[]): Promise<WriteTest | null> {
  const records: SnapshotRecord[] = []
  let bytes = 0
  for (let from = 0; from < keys.length && bytes < TEST_BYTES; from += PAGE) {
    const { db } = keys[from]
    const part = keys.slice(from, from + PAGE).filter((one) => one.db === db)
    for (const record of await reader.read(
      db,
      part.map(({ key }) => key),
      true,
    )) {
      if (record === null || record.value.form === 'sliced') continue
      bytes += record.value.form === 'rdb' ? record.value.body.length : 0
      records.push({
        db: 0,
        key: Buffer.concat([Buffer.from('__ferrite_migrate__:tmp:analyze:'), record.key]),
        value: record.value,
        expireAt: 0,
      })
    }
  }
  if (records.length === 0) return null
  const write = (records: SnapshotRecord[]): Promise<unknown> =>
    target.write({ kind: 'snapshot', lane: 0, records, onConflict: 'replace' })
  try {
    // The first ones pay for connecting and for cold code.
    await write(records.slice(0, PAGE))
    const startedAt = performance.now()
    const batches: Promise<unknown>[] = []
    for (let from = 0; from < records.length; from += PAGE) batches.push(write(records.slice(from, from + PAGE)))
    await Promise.all(batches)
    return { keys: records.length, bytes, ms: performance.now() - startedAt }
  } finally {
    await target.write({
      kind: 'snapshot',
      lane: 0,
      records: [],
      deletes: records.map(({ db, key }) => ({ db, key })),
      onConflict: 'replace',
    })
  }
}

function estimateOf(
  totalKeys: number,
  lookedAt: number,
  readMs: number,
  test: WriteTest | null,
): SourceAnalysis['estimate'] {
  if (test !== null) {
    const ms = (totalKeys / test.keys) * test.ms
    // Reading, network and fuller tables make the whole slower than a test of its first keys.
    return { leastMs: ms, mostMs: ms * 2 }
  }
  return lookedAt === 0
    ? null
    : { leastMs: (readMs / lookedAt) * totalKeys * 0.1, mostMs: (readMs / lookedAt) * totalKeys }
}

function compatibilityOf(survey: SourceSurvey, summary: KeySummary, target: Target | null): CompatibilityNote[] {
  const notes: CompatibilityNote[] = []
  const ok = (text: string): number => notes.push({ level: 'ok', text })
  const warn = (text: string): number => notes.push({ level: 'warn', text })
  if (target === null)
    ok(`${survey.commands.size} different commands were used; give --target to see whether it knows them`)
  else {
    const unknown = [...survey.commands]
      .filter(([name]) => !ADMINISTRATIVE.has(name) && !(target.knows?.(name) ?? true))
      .sort(([, a], [, b]) => b - a)
    if (unknown.length === 0) ok('All commands compatible')
    else
      warn(
        `${unknown.length} commands that were used are unknown to the target: ${unknown
          .slice(0, 10)
          .map(([name, calls]) => `${name} (${calls.toLocaleString('en-US')} calls)`)
          .join(', ')}`,
      )
    const { facts, rendering } = target.dialect
    if (facts.hyperLogLog === 'no' && (survey.commands.get('PFADD') ?? 0) > 0)
      warn('HyperLogLogs are used; the target keeps them in a form of its own, so they arrive as strings')
    if (
      facts.fieldExpiry === 'no' &&
      ['HEXPIRE', 'HPEXPIRE', 'HEXPIREAT', 'HPEXPIREAT'].some((name) => survey.commands.has(name))
    )
      warn('Expiries of hash fields are used, which the target does not know')
    if (survey.modules.length > 0 && rendering !== 'restore')
      warn(`Modules are loaded (${survey.modules.join(', ')}); their values cannot be carried to this target`)
  }
  if (survey.modules.length > 0 && (target === null || target.dialect.rendering === 'restore'))
    warn(
      `Modules are loaded (${survey.modules.join(', ')}); their values travel only to a target with the same modules`,
    )
  if (summary.types.some(({ type }) => !['string', 'list', 'set', 'zset', 'hash', 'stream'].includes(type)))
    warn('There are values of modules among the keys')
  if (survey.functions > 0)
    warn(`${survey.functions} function libraries detected (will be migrated where the target takes them)`)
  if (survey.scripts > 0)
    warn(`${survey.scripts} Lua scripts detected (applications load them again; their effects are migrated)`)
  if (survey.users > 0) warn(`${survey.users} ACL users detected (create them at the target yourself)`)
  if (survey.cluster) warn('The source is a cluster node: only its own keys are seen')
  if (!notes.some(({ level }) => level === 'warn')) ok('No blocking issues found')
  return notes
}

function recommendationsOf(
  summary: KeySummary,
  target: Target | null,
  test: WriteTest | null,
  estimate: SourceAnalysis['estimate'],
): string[] {
  const list: string[] = []
  if (estimate !== null)
    list.push(
      `Estimated migration time: ${span(estimate.leastMs, estimate.mostMs)}${test === null ? ' (by reading alone; give --target for a measured one)' : ''}`,
    )
  list.push(`Recommended parallel workers: ${target?.advisedLanes ?? 4}`)
  const large = summary.bigKeys.filter(({ bytes }) => bytes > SLICE_LIMIT)
  if (large.length > 0)
    list.push(
      `${large.length} keys are larger than ${SLICE_LIMIT >> 20} MB: they travel in slices, and take the longest`,
    )
  const ephemeral = summary.patterns
    .filter(
      ({ pattern, keys, shortLived }) => pattern.includes('*') && (EPHEMERAL.test(pattern) || shortLived / keys > 0.8),
    )
    .map(({ pattern }) => pattern)
  if (ephemeral.length > 0) list.push(`Consider excluding: ${ephemeral.join(', ')} (ephemeral data)`)
  return list
}

/** `15-20 minutes`: both in the unit of the longer one. */
function span(leastMs: number, mostMs: number): string {
  const [unit, each] =
    mostMs < 90_000 ? ['seconds', 1000] : mostMs < 90 * 60_000 ? ['minutes', 60_000] : ['hours', 3_600_000]
  const least = Math.max(1, Math.floor(leastMs / Number(each)))
  const most = Math.max(least + 1, Math.ceil(mostMs / Number(each)))
  return `${least}-${most} ${unit}`
}
