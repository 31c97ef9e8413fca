import { type ByteFeed, ByteWindow, RdbReader } from '@ferrite-migrate/protocol'
import type { KeySummary } from './key-statistics.js'
import { type KeyRow, type RdbFacts, RdbTally } from './rdb-tally.js'

export type { KeyRow, RdbFacts }

/** What an RDB holds. */
export interface RdbAnalysis extends KeySummary, RdbFacts {}

export interface RdbAnalysisOptions {
  readonly checksum: boolean
  readonly topKeys: number
  readonly topPatterns?: number
  /** Also the prefixes below one another, for a page. */
  readonly tree?: boolean
  readonly signal: AbortSignal
  /** Gets every key; values are decoded only for this. */
  onKey?(row: KeyRow): void
  onProgress?(keys: number): void
}

const PROGRESS_EVERY = 50_000
const BATCH = 10_000

/**
 * Reads an RDB to its end and sums up what it holds. Values are not decoded.
 * @throws MigrateError FM_RDB_*
 */
export async function analyzeRdb(feed: ByteFeed, options: RdbAnalysisOptions): Promise<RdbAnalysis> {
  const tally = new RdbTally(options.topKeys, options.onKey?.bind(options))
  const reader = new RdbReader(new ByteWindow(feed), { checksum: options.checksum, batchRecords: BATCH })
  for await (const event of reader.read()) {
    if (options.signal.aborted) break
    await tally.take(event)
    if (event.kind !== 'records') continue
    event.block.release()
    if (tally.keys % PROGRESS_EVERY < event.records.length) options.onProgress?.(tally.keys)
  }
  return { ...tally.statistics.summary(options.topPatterns, options.tree), ...tally.facts() }
}
