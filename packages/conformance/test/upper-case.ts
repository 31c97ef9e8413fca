import type { DecodedRecord, DecodedValue, DirtyKey, Transform } from '@ferrite-migrate/contracts'
import type { TransformSubject } from '../dist/index.js'

/** What it has no answer for. */
const REFUSED = Buffer.from('refused')

function upper(item: Buffer): Buffer | Error {
  if (item.equals(REFUSED)) return new Error('it is refused')
  return Buffer.from(item.toString('latin1').toUpperCase(), 'latin1')
}

/** Writes strings in upper case, puts a prefix before names, and leaves empty strings out. */
export class UpperCase implements Transform {
  async keys(keys: readonly DirtyKey[]): Promise<readonly (Buffer | null | Error)[]> {
    return keys.map(({ key }) => Buffer.concat([Buffer.from('new:'), key]))
  }

  async values(records: readonly DecodedRecord[]): Promise<readonly (DecodedValue | null | Error)[]> {
    return records.map(({ value }) => {
      if (value.form === 'stream' || value.type !== 'string') return value
      const [text] = value.items
      if (text.length === 0) return null
      const item = upper(text)
      return item instanceof Error ? item : { ...value, items: [item] }
    })
  }

  async items(items: readonly Buffer[]): Promise<readonly (Buffer | Error)[]> {
    return items.map(upper)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It holds nothing open.
  }
}

export function transformSubject(transform: Transform = new UpperCase(), again?: Transform): TransformSubject {
  return { transform, refused: REFUSED, again: async () => again ?? new UpperCase() }
}
