import type { RdbValue, Value } from './value.js'

/** One key with its value. */
export interface SnapshotRecord {
  readonly db: number
  readonly key: Buffer
  readonly value: Value
  /** Absolute time in ms, 0 = none. */
  readonly expireAt: number
}

/**
 * A record that is still a range of the block it was read into. The way of the data is one object per key, so key
 * and value become Buffers only where somebody asks. All offsets are valid until the block is released. A renamed key
 * lies in another block than its value: `keyStart` and `keyEnd` are offsets of `keyData`, the others of `data`.
 */
export class PackedRecord implements SnapshotRecord {
  readonly db: number
  readonly expireAt: number
  readonly data: Buffer
  readonly keyData: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly type: number
  readonly rdbVersion: number

  constructor(
    db: number,
    expireAt: number,
    data: Buffer,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    type: number,
    rdbVersion: number,
    keyData: Buffer = data,
  ) {
    this.db = db
    this.expireAt = expireAt
    this.data = data
    this.keyData = keyData
    this.keyStart = keyStart
    this.keyEnd = keyEnd
    this.valueStart = valueStart
    this.valueEnd = valueEnd
    this.type = type
    this.rdbVersion = rdbVersion
  }

  get key(): Buffer {
    return this.keyData.subarray(this.keyStart, this.keyEnd)
  }

  /** The same value under another name, in another database or with another end. */
  moved(db: number, expireAt: number, keyData: Buffer, keyStart: number, keyEnd: number): PackedRecord {
    return new PackedRecord(
      db,
      expireAt,
      this.data,
      keyStart,
      keyEnd,
      this.valueStart,
      this.valueEnd,
      this.type,
      this.rdbVersion,
      keyData,
    )
  }

  get value(): RdbValue {
    return {
      form: 'rdb',
      type: this.type,
      body: this.data.subarray(this.valueStart, this.valueEnd),
      rdbVersion: this.rdbVersion,
    }
  }
}

/** One command of a replication stream. `resp` is the command as the source sent it. */
export interface ChangeRecord {
  readonly db: number
  /** Upper case. */
  readonly name: string
  readonly argv: readonly Buffer[]
  readonly resp: Buffer
  /** When the tool received it, in ms of the source's clock; relative expiries count from here. */
  readonly receivedAt: number
  /**
   * Where in the stream of its shard it ends: grows from record to record, and is the same when the stream is read once more. Commands
   * that stand for another have the place of that. Absent where the source has no such number.
   */
  readonly at?: number | undefined
}

/**
 * A command that is still a range of the block it was read into; see PackedRecord. Whoever takes it may write over its bytes:
 * a source hands out blocks that nobody else reads.
 */
export class PackedChange implements ChangeRecord {
  readonly db: number
  readonly name: string
  readonly data: Buffer
  readonly start: number
  readonly end: number
  readonly receivedAt: number
  readonly at: number | undefined

  constructor(db: number, name: string, data: Buffer, start: number, end: number, receivedAt: number, at?: number) {
    this.db = db
    this.name = name
    this.data = data
    this.start = start
    this.end = end
    this.receivedAt = receivedAt
    this.at = at
  }

  get resp(): Buffer {
    return this.data.subarray(this.start, this.end)
  }

  get argv(): Buffer[] {
    return splitCommand(this.data, this.start, this.end)
  }
}

/** The arguments of one complete multi-bulk command, as views. */
export function splitCommand(data: Buffer, start: number, end: number): Buffer[] {
  const argv: Buffer[] = []
  let at = data.indexOf(10, start) + 1
  while (at > 0 && at < end) {
    let length = 0
    for (at += 1; data[at] !== 13; at++) length = length * 10 + data[at] - 48
    argv.push(data.subarray(at + 2, at + 2 + length))
    at += length + 4
  }
  return argv
}

/** A key whose value changed in a way that only reading it again can tell. */
export interface DirtyKey {
  readonly db: number
  readonly key: Buffer
}
