import { PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import {
  decodeValue,
  hasFieldExpiry,
  isOpaque,
  type RdbEvent,
  RecordFacts,
  rdbTypeName,
} from '@ferrite-migrate/protocol'
import { isSliced, type SlicedRecord } from '../records/sliced-record.js'
import { KeyStatistics } from './key-statistics.js'

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

/** What an RDB holds beside its keys, and of which kinds these are. */
export interface RdbFacts {
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

const AUX_CHARACTERS = 200

/** A large value that was read; how many bytes of the file it took tells what comes behind it. */
interface Large {
  readonly record: SlicedRecord
  readonly elements: number
  /** All of its strings, inflated. */
  readonly bytes: number
}

/** Sums up an RDB as it is read. */
export class RdbTally {
  readonly statistics: KeyStatistics
  private readonly onKey: ((row: KeyRow) => void) | undefined
  private readonly record = new RecordFacts()
  private readonly aux: Record<string, string> = {}
  private readonly functions: string[] = []
  private readonly modules = new Map<string, { values: number; bytes: number }>()
  private rdbVersion = 0
  private valkey = false
  private fileBytes = 0
  /** Bytes that compression saved. */
  private saved = 0
  private hyperLogLogs = 0
  private hashesWithFieldExpiry = 0
  private large: Large | null = null

  /**
   * @param topKeys how many of the largest keys are kept by name
   * @param onKey gets every key; values are decoded only for this
   */
  constructor(topKeys: number, onKey?: (row: KeyRow) => void) {
    this.statistics = new KeyStatistics(topKeys)
    this.onKey = onKey
  }

  get keys(): number {
    return this.statistics.keys
  }

  /** Takes what a reader gives; what it points to may be forgotten afterwards. */
  async take(event: RdbEvent): Promise<void> {
    switch (event.kind) {
      case 'header':
        this.rdbVersion = event.version
        this.valkey = event.valkey
        break
      case 'aux':
        this.aux[event.name] = event.value.toString('utf8').slice(0, AUX_CHARACTERS)
        break
      case 'function':
        this.functions.push(/name=(\S+)/.exec(event.source.toString('latin1', 0, 200))?.[1] ?? 'unnamed')
        break
      case 'module-aux':
        this.moduleOf(event.module).bytes += event.payload.length
        break
      case 'end':
        this.fileBytes = event.byteLength
        break
      case 'records':
        this.addLarge(event.byteLength)
        for (const record of event.records)
          if (isSliced(record)) this.large = await readLarge(record)
          else this.add(record)
    }
  }

  facts(): RdbFacts {
    const { rdbVersion, valkey, fileBytes, saved, aux, functions, modules, hyperLogLogs, hashesWithFieldExpiry } = this
    return {
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

  private add(record: SnapshotRecord): void {
    const { record: facts } = this
    facts.look(record)
    this.saved += facts.inflatedLength - facts.byteLength
    if (facts.hyperLogLog) this.hyperLogLogs++
    else if (hasFieldExpiry(facts.type)) this.hashesWithFieldExpiry++
    const type = facts.keyType ?? 'unknown'
    if (type === 'module') {
      const entry = this.moduleOf(facts.moduleOf(record))
      entry.values++
      entry.bytes += facts.byteLength
    }
    const encoding = rdbTypeName(facts.type)
    const { db, expireAt } = record
    const packed = record instanceof PackedRecord
    const data = packed ? record.keyData : record.key
    const start = packed ? record.keyStart : 0
    const end = packed ? record.keyEnd : record.key.length
    const bytes = facts.byteLength + end - start
    const { elements } = facts
    this.statistics.add(db, data, start, end, type, encoding, bytes, elements, expireAt)
    if (this.onKey === undefined) return
    const largestElement = largestOf(record)
    this.onKey({ db, key: record.key, type, encoding, bytes, elements, expireAt, largestElement })
  }

  /** Counts the large value before these bytes of the file. */
  private addLarge(bytes: number): void {
    if (this.large === null) return
    const { record, elements, bytes: inflated } = this.large
    this.large = null
    const { db, key, expireAt, value } = record
    const encoding = `${value.type} (large)`
    this.saved += inflated - bytes
    this.statistics.add(db, key, 0, key.length, value.type, encoding, bytes, elements, expireAt)
    this.onKey?.({ db, key, type: value.type, encoding, bytes, elements, expireAt, largestElement: 0 })
  }

  private moduleOf(name: string): { values: number; bytes: number } {
    let entry = this.modules.get(name)
    if (entry === undefined) {
      entry = { values: 0, bytes: 0 }
      this.modules.set(name, entry)
    }
    return entry
  }
}

async function readLarge(record: SlicedRecord): Promise<Large> {
  const { value } = record
  const width = value.type === 'hash' || value.type === 'zset' ? 2 : 1
  let elements = 0
  let bytes = 0
  for await (const slice of value.slices) {
    elements += slice.entries?.length ?? slice.items.length / width
    for (const item of slice.items) bytes += item.length
  }
  return {
    record: { db: record.db, key: Buffer.from(record.key), expireAt: record.expireAt, value },
    elements: value.type === 'string' ? 1 : elements,
    bytes,
  }
}

/** Bytes of the largest element; of a string, its length. Decodes the value. */
function largestOf({ value }: SnapshotRecord): number {
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
