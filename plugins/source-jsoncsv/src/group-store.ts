import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { DecodedValue, SnapshotRecord, StreamEntry, ValueSlice } from '@ferrite-migrate/contracts'
import type { Row } from './row.js'
import type { RowMapper } from './row-mapper.js'

const COMMIT_ROWS = 20_000
/** A key with more elements than this comes in slices. */
const SLICED = 100_000
const SLICE = 5000

/**
 * Rows of many keys gathered by key, in a temporary database: the rows of one key may be anywhere in a file, and a value is
 * written as a whole.
 */
export class GroupStore {
  private readonly mapper: RowMapper
  private readonly db: number
  private readonly database: DatabaseSync
  private readonly insert: StatementSync
  private rows = 0

  constructor(mapper: RowMapper, db: number) {
    this.mapper = mapper
    this.db = db
    // An empty path is a private temporary database on disk.
    this.database = new DatabaseSync('')
    this.database.exec(
      'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE rows (key TEXT, n INTEGER, a TEXT, b TEXT, ends INTEGER); BEGIN',
    )
    this.insert = this.database.prepare('INSERT INTO rows VALUES (?, ?, ?, ?, ?)')
  }

  /** @throws RowError */
  add(row: Row): void {
    const { mapper } = this
    const key = mapper.key(row)
    const n = ++this.rows
    const [a, b] =
      mapper.type === 'zset'
        ? [mapper.member(row), mapper.score(row)]
        : mapper.type === 'set'
          ? [mapper.member(row), '']
          : mapper.type === 'stream'
            ? [mapper.id(row, n), JSON.stringify(mapper.fields(row))]
            : [mapper.value(row), '']
    this.insert.run(key, n, a, b, mapper.expireAt(row))
    if (n % COMMIT_ROWS === 0) this.database.exec('COMMIT; BEGIN')
  }

  /** Whole values, key by key. */
  *records(): Generator<SnapshotRecord> {
    const { database, mapper } = this
    database.exec('COMMIT; CREATE INDEX by_key ON rows (key, n)')
    const keys = database.prepare('SELECT key, count(*) AS count, max(ends) AS ends FROM rows GROUP BY key')
    const order =
      mapper.type === 'stream'
        ? // Numbers up to 2^64 as text: the longer one is the larger, then digit by digit.
          "length(ltrim(substr(a, 1, instr(a, '-') - 1), '0')), ltrim(substr(a, 1, instr(a, '-') - 1), '0'), length(ltrim(substr(a, instr(a, '-') + 1), '0')), ltrim(substr(a, instr(a, '-') + 1), '0')"
        : 'n'
    // Of members that come twice the last one counts.
    const once = mapper.type === 'set' || mapper.type === 'zset' || mapper.type === 'stream'
    const parts = database.prepare(
      once
        ? `SELECT a, b FROM rows WHERE n IN (SELECT max(n) FROM rows WHERE key = ? GROUP BY a) ORDER BY ${order}`
        : `SELECT a, b FROM rows WHERE key = ? ORDER BY ${order}`,
    )
    for (const { key, count, ends } of keys.iterate() as Iterable<{ key: string; count: number; ends: number }>) {
      const rows = parts.iterate(key) as Iterable<{ a: string; b: string }>
      const base = { db: this.db, key: Buffer.from(key), expireAt: Number(ends) }
      if (Number(count) > SLICED && mapper.type !== 'stream')
        yield { ...base, value: { form: 'sliced', type: this.keyType(), slices: this.slices(rows) } }
      else yield { ...base, value: this.whole(rows) }
    }
  }

  private keyType(): 'list' | 'set' | 'zset' {
    return this.mapper.type as 'list'
  }

  private whole(rows: Iterable<{ a: string; b: string }>): DecodedValue {
    if (this.mapper.type === 'stream') return streamOf(rows)
    const items: Buffer[] = []
    for (const { a, b } of rows) {
      items.push(Buffer.from(a))
      if (this.mapper.type === 'zset') items.push(Buffer.from(b))
    }
    return { form: 'items', type: this.keyType(), items }
  }

  private async *slices(rows: Iterable<{ a: string; b: string }>): AsyncGenerator<ValueSlice> {
    let items: Buffer[] = []
    for (const { a, b } of rows) {
      items.push(Buffer.from(a))
      if (this.mapper.type === 'zset') items.push(Buffer.from(b))
      if (items.length < SLICE * 2) continue
      yield { items }
      items = []
    }
    if (items.length > 0) yield { items }
  }

  close(): void {
    this.database.close()
  }
}

function streamOf(rows: Iterable<{ a: string; b: string }>): DecodedValue {
  const entries: StreamEntry[] = []
  for (const { a, b } of rows)
    entries.push({ id: a, fields: (JSON.parse(b) as string[]).map((text) => Buffer.from(text)) })
  return {
    form: 'stream',
    type: 'stream',
    entries,
    lastId: entries.at(-1)?.id ?? '0-0',
    firstId: entries[0]?.id ?? '0-0',
    maxDeletedId: '0-0',
    entriesAdded: String(entries.length),
    groups: [],
  }
}
