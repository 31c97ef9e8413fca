import type { SnapshotRecord, ValueSlice } from '@ferrite-migrate/contracts'
import { decodedOf } from './samples.js'

/** How many items of a flat value belong together. */
const WIDTH = { string: 1, list: 1, set: 1, zset: 2, hash: 2 } as const

/** A record whose value comes in slices of so many elements. */
export function slicedRecord(record: SnapshotRecord, elements: number): SnapshotRecord {
  const value = decodedOf(record)
  async function* slices(): AsyncGenerator<ValueSlice> {
    if (value.form === 'stream') {
      for (let at = 0; at < value.entries.length; at += elements)
        yield { items: [], entries: value.entries.slice(at, at + elements) }
      yield { items: [], entries: [], stream: { ...value, entries: [] } }
      return
    }
    const step = elements * WIDTH[value.type]
    for (let at = 0; at < value.items.length; at += step) {
      const ends = value.fieldExpireAt?.slice(at / 2, (at + step) / 2)
      yield { items: value.items.slice(at, at + step), ...(ends === undefined ? {} : { fieldExpireAt: ends }) }
    }
  }
  return { ...record, value: { form: 'sliced', type: value.type, slices: slices() } }
}

/** How many elements a value has. */
export function elementsOf(record: SnapshotRecord): number {
  const value = decodedOf(record)
  return value.form === 'stream' ? value.entries.length : value.items.length / WIDTH[value.type]
}
