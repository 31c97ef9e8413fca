import { isAscii, isUtf8 } from 'node:buffer'
import { PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { copyBytes } from '@ferrite-migrate/protocol'
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
      this.affix !== null && record instanceof PackedRecord ? this.affixed(this.affix, record) : this.name(record)
    const { block, at } = this
    return record instanceof PackedRecord
      ? record.moved(db, record.expireAt, block, start, at)
      : { db, key: block.subarray(start, at), value: record.value, expireAt: record.expireAt }
  }

  private affixed({ head, tail }: AffixRule, { keyData, keyStart, keyEnd }: PackedRecord): number {
    const start = this.room(head.length + keyEnd - keyStart + tail.length)
    let { at } = this
    copyBytes(head, 0, head.length, this.block, at)
    at += head.length
    copyBytes(keyData, keyStart, keyEnd, this.block, at)
    at += keyEnd - keyStart
    copyBytes(tail, 0, tail.length, this.block, at)
    this.at = at + tail.length
    return start
  }

  /** Writes the name; gives where it starts in the block. */
  private name(record: SnapshotRecord): number {
    const text = textOf(record)
    if (text === null) {
      const { db, key: original } = record
      let key = original
      for (const rule of this.rules) key = rule.apply(key, db, original)
      const start = this.room(key.length)
      this.at += key.copy(this.block, start)
      return start
    }
    let name = text
    for (const rule of this.rules) name = rule.applyText(name, record)
    const start = this.room(name.length * WIDEST)
    const { block } = this
    let { at } = this
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i)
      if (unit > 127) {
        this.at = start + block.write(name, start, 'utf8')
        return start
      }
      block[at++] = unit
    }
    this.at = at
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

/** The name as text; null = it is not UTF-8. Of ASCII one byte is one letter in every encoding, and latin1 is the fastest. */
function textOf(record: SnapshotRecord): string | null {
  if (record instanceof PackedRecord) {
    const { keyData, keyStart, keyEnd } = record
    let at = keyStart
    while (at < keyEnd && keyData[at] < 128) at++
    if (at === keyEnd) return keyData.toString('latin1', keyStart, keyEnd)
  }
  const { key } = record
  return isAscii(key) ? key.toString('latin1') : isUtf8(key) ? key.toString('utf8') : null
}
