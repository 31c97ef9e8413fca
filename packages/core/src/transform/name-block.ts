import { isAscii, isUtf8 } from 'node:buffer'
import { PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { AffixRule, type KeyRule } from './key-rule.js'

/** Bytes that a name of one UTF-16 unit takes at most. */
const WIDEST = 3
const FIRST_BYTES = 32 << 10

/** Gives a batch of records other names, which all lie in one block: a name costs no memory of its own. */
export class NameBlock {
  private readonly rules: readonly KeyRule[]
  private readonly dbs: ReadonlyMap<number, number>
  /** The one rule, where names are only put between two texts: then bytes are copied and nothing is looked at. */
  private readonly affix: AffixRule | null
  private block = Buffer.allocUnsafeSlow(FIRST_BYTES)
  private at = 0

  constructor(rules: readonly KeyRule[], dbs: ReadonlyMap<number, number>) {
    this.rules = rules
    this.dbs = dbs
    this.affix = rules.length === 1 && rules[0] instanceof AffixRule ? rules[0] : null
  }

  renamed(record: SnapshotRecord): SnapshotRecord {
    const db = this.dbs.get(record.db) ?? record.db
    const start =
      this.affix !== null && record instanceof PackedRecord
        ? this.affixed(this.affix, record)
        : this.name(record.key, record.db)
    const { block, at } = this
    return record instanceof PackedRecord
      ? record.moved(db, record.expireAt, block, start, at)
      : { db, key: block.subarray(start, at), value: record.value, expireAt: record.expireAt }
  }

  private affixed({ head, tail }: AffixRule, { keyData, keyStart, keyEnd }: PackedRecord): number {
    const start = this.room(head.length + keyEnd - keyStart + tail.length)
    let { at } = this
    at += head.copy(this.block, at)
    at += keyData.copy(this.block, at, keyStart, keyEnd)
    this.at = at + tail.copy(this.block, at)
    return start
  }

  /** Writes the name; gives where it starts in the block. */
  private name(original: Buffer, db: number): number {
    const { rules } = this
    // Of ASCII one byte is one letter in every encoding, and latin1 is the fastest.
    const encoding = isAscii(original) ? 'latin1' : isUtf8(original) ? 'utf8' : null
    if (encoding === null) {
      let key = original
      for (const rule of rules) key = rule.apply(key, db, original)
      const start = this.room(key.length)
      this.at += key.copy(this.block, start)
      return start
    }
    let text = original.toString(encoding)
    for (const rule of rules) text = rule.applyText(text, db, original)
    const start = this.room(text.length * WIDEST)
    this.at += this.block.write(text, start, 'utf8')
    return start
  }

  /** Makes room in the block; names made before stay where they are. */
  private room(bytes: number): number {
    if (this.at + bytes > this.block.length) {
      this.block = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, bytes))
      this.at = 0
    }
    return this.at
  }
}
