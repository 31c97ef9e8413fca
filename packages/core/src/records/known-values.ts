import { type DirtyKey, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { RangeHash } from './range-hash.js'

const FEWEST = 1 << 16
/** Words of one place: two of the name, two of the value, of which the last bit says that the name was seen. */
const WORDS = 4
/** RDB versions from here on are Valkey's, whose types of the same number are others. */
const VALKEY = 80
const VALKEY_FORM = 1 << 20

/**
 * Keys that a store holds, each with its value and its end, as hashes of 63 bits: what was read from there is known again without
 * asking. 24 to 48 bytes a key; of n values that differ one passes for the same with a chance of about n / 2^63.
 */
export class KnownValues {
  /** Keys in it. */
  size = 0
  /** Keys in it that nobody has met. */
  unseen = 0
  private slots: Int32Array
  private readonly hash = new RangeHash()

  /** @param keys about how many there will be */
  constructor(keys = 0) {
    let places = FEWEST
    while (places < keys * 1.5) places *= 2
    this.slots = new Int32Array(places * WORDS)
  }

  add(record: SnapshotRecord): void {
    if (this.size * 1.5 * WORDS >= this.slots.length) this.grow()
    const { slots, hash } = this
    const at = this.placeOf(record)
    if (slots[at + 1] !== 0) return
    slots[at] = hash.a
    slots[at + 1] = hash.b | 1
    if (this.hashValue(record)) {
      slots[at + 2] = hash.a
      slots[at + 3] = hash.b & ~1
    }
    this.size++
    this.unseen++
  }

  /** The source has a key of this name. */
  meet(record: SnapshotRecord): void {
    const { slots } = this
    const at = this.placeOf(record)
    if (slots[at + 1] === 0 || (slots[at + 3] & 1) === 1) return
    slots[at + 3] |= 1
    this.unseen--
  }

  /** Whether the store has this key with this value: `perhaps` = it has another value, or the same one in another form. */
  has(record: SnapshotRecord): 'yes' | 'perhaps' | 'no' {
    const { slots, hash } = this
    const at = this.placeOf(record)
    if (slots[at + 1] === 0) return 'no'
    const same = this.hashValue(record) && slots[at + 2] === hash.a && (slots[at + 3] & ~1) === (hash.b & ~1)
    return same ? 'yes' : 'perhaps'
  }

  /** The store has this key, and nobody has met it. */
  isUnseen(key: DirtyKey): boolean {
    const at = this.placeOf(key)
    return this.slots[at + 1] !== 0 && (this.slots[at + 3] & 1) === 0
  }

  /** Where the words of a name are, or would be; leaves its hash. */
  private placeOf(record: DirtyKey): number {
    const { hash } = this
    if (record instanceof PackedRecord) hash.of(record.keyData, record.keyStart, record.keyEnd, record.db, 0)
    else hash.of(record.key, 0, record.key.length, record.db, 0)
    return this.place(this.slots, hash.a, hash.b | 1)
  }

  /** Leaves the hash of its value and end; false for a value that is not there as bytes. */
  private hashValue(record: SnapshotRecord): boolean {
    if (!(record instanceof PackedRecord)) return false
    const { expireAt, type, rdbVersion } = record
    const form = type ^ (rdbVersion >= VALKEY ? VALKEY_FORM : 0)
    const { data, valueStart, valueEnd } = record
    this.hash.of(data, valueStart, valueEnd, form ^ (expireAt | 0), Math.floor(expireAt / 2 ** 32))
    return true
  }

  private place(slots: Int32Array, a: number, b: number): number {
    const mask = slots.length / WORDS - 1
    for (let place = (a ^ (b >>> 7)) & mask; ; place = (place + 1) & mask) {
      const at = place * WORDS
      if (slots[at + 1] === 0 || (slots[at] === a && slots[at + 1] === b)) return at
    }
  }

  private grow(): void {
    const { slots } = this
    const larger = new Int32Array(slots.length * 2)
    for (let at = 0; at < slots.length; at += WORDS)
      if (slots[at + 1] !== 0) larger.set(slots.subarray(at, at + WORDS), this.place(larger, slots[at], slots[at + 1]))
    this.slots = larger
  }
}
