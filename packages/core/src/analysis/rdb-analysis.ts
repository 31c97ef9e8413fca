import { PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import {
  type ByteFeed,
  ByteWindow,
  decodeValue,
  hasFieldExpiry,
  isOpaque,
  RdbReader,
  RecordFacts,
  rdbTypeName,
} from '@ferrite-migrate/protocol'
import { KeyStatistics, type KeySummary } from './key-statistics.js'

/** One key for a table of all of them. */
export interface KeyRow {
  readonly db: number
  readonly key: Buffer
  readonly type: string
  readonly encoding: string
  readonly bytes: number
  readonly elements: number
  readonly expireAt: number
  readonly largestElement: number
}

export interface RdbAnalysis extends KeySummary {
  readonly rdbVersion: number
  readonly valkey: boolean
  /** Bytes of the RDB, and with every compressed string inflated. */
  readonly fileBytes: number
  readonly inflatedBytes: number
  readonly aux: Readonly<Record<string, string>>
  readonly functions: readonly string[]
  readonly modules: readonly { readonly name: string; readonly values: number; readonly bytes: number }[]
  readonly hyperLogLogs: number
  readonly hashesWithFieldExpiry: number
}

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

/**
 * Reads an RDB to its end and sums up what it holds. Values are not decoded.
 * @throws MigrateError FM_RDB_*
 */
export async function analyzeRdb(feed: ByteFeed, options: RdbAnalysisOptions): Promise<RdbAnalysis> {
  const facts = new RecordFacts()
  const statistics = new KeyStatistics(options.topKeys)
  const aux: Record<string, string> = {}
  const functions: string[] = []
  const modules = new Map<string, { values: number; bytes: number }>()
  let rdbVersion = 0
  let valkey = false
  let fileBytes = 0
  let saved = 0
  let hyperLogLogs = 0
  let hashesWithFieldExpiry = 0
  let sliced: { record: SnapshotRecord; elements: number; bytes: number } | null = null
  const moduleOf = (name: string): { values: number; bytes: number } => {
    let entry = modules.get(name)
    if (entry === undefined) {
      entry = { values: 0, bytes: 0 }
      modules.set(name, entry)
    }
    return entry
  }
  const countSliced = (byteLength: number): void => {
    if (sliced === null) return
    const { record, elements, bytes } = sliced
    sliced = null
    const { value } = record
    if (value.form !== 'sliced') return
    saved += bytes - byteLength
    statistics.add(
      record.db,
      record.key,
      0,
      record.key.length,
      value.type,
      `${value.type} (large)`,
      byteLength,
      elements,
      record.expireAt,
    )
    options.onKey?.({
      db: record.db,
      key: record.key,
      type: value.type,
      encoding: `${value.type} (large)`,
      bytes: byteLength,
      elements,
      expireAt: record.expireAt,
      largestElement: 0,
    })
  }
  for await (const event of new RdbReader(new ByteWindow(feed), {
    checksum: options.checksum,
    batchRecords: 10_000,
  }).read()) {
    if (options.signal.aborted) break
    switch (event.kind) {
      case 'header':
        rdbVersion = event.version
        valkey = event.valkey
        break
      case 'aux':
        aux[event.name] = event.value.toString('utf8').slice(0, 200)
        break
      case 'function':
        functions.push(/name=(\S+)/.exec(event.source.toString('latin1', 0, 200))?.[1] ?? 'unnamed')
        break
      case 'module-aux':
        moduleOf(event.module).bytes += event.payload.length
        break
      case 'end':
        fileBytes = event.byteLength
        break
      case 'records': {
        countSliced(event.byteLength)
        for (const record of event.records) {
          const packed = record instanceof PackedRecord
          const value = packed ? null : record.value
          if (value !== null && value.form === 'sliced') {
            let elements = 0
            let bytes = 0
            for await (const slice of value.slices) {
              elements +=
                slice.entries?.length ??
                (value.type === 'hash' || value.type === 'zset' ? slice.items.length / 2 : slice.items.length)
              for (const item of slice.items) bytes += item.length
            }
            sliced = {
              record: { ...record, key: Buffer.from(record.key) },
              elements: value.type === 'string' ? 1 : elements,
              bytes,
            }
            continue
          }
          facts.look(record)
          saved += facts.inflatedLength - facts.byteLength
          if (facts.hyperLogLog) hyperLogLogs++
          else if (hasFieldExpiry(facts.type)) hashesWithFieldExpiry++
          const type = facts.keyType ?? 'unknown'
          if (type === 'module') {
            const entry = moduleOf(facts.moduleOf(record))
            entry.values++
            entry.bytes += facts.byteLength
          }
          const encoding = rdbTypeName(facts.type)
          const { db, expireAt } = record
          const data = packed ? record.keyData : record.key
          const start = packed ? record.keyStart : 0
          const end = packed ? record.keyEnd : record.key.length
          const bytes = facts.byteLength + end - start
          statistics.add(db, data, start, end, type, encoding, bytes, facts.elements, expireAt)
          options.onKey?.({
            db,
            key: record.key,
            type,
            encoding,
            bytes,
            elements: facts.elements,
            expireAt,
            largestElement: largestElement(record),
          })
        }
        event.block.release()
        if (options.onProgress !== undefined && statistics.keys % PROGRESS_EVERY < event.records.length)
          options.onProgress(statistics.keys)
      }
    }
  }
  return {
    ...statistics.summary(options.topPatterns, options.tree),
    rdbVersion,
    valkey,
    fileBytes,
    inflatedBytes: fileBytes + saved,
    aux,
    functions,
    modules: [...modules].map(([name, { values, bytes }]) => ({ name, values, bytes })),
    hyperLogLogs,
    hashesWithFieldExpiry,
  }
}

/** Bytes of the largest element; of a string, its length. Decodes the value. */
function largestElement({ value }: SnapshotRecord): number {
  if (value.form !== 'rdb') return 0
  if (isOpaque(value.type, value.rdbVersion)) return value.body.length
  const decoded = decodeValue(value.type, value.body, value.rdbVersion)
  let largest = 0
  if (decoded.form === 'items') for (const item of decoded.items) largest = Math.max(largest, item.length)
  else
    for (const entry of decoded.entries)
      largest = Math.max(
        largest,
        entry.fields.reduce((sum, field) => sum + field.length, 0),
      )
  return largest
}
