import { type Client, clientValue } from './client-value.js'
import type { Item } from './memcached-link.js'

export type FlagPolicy = 'drop' | 'sidecar' | 'prefix' | 'decode'

/** Keys that hold the flags of another item are called after it. */
export const SIDECAR = Buffer.from(':flags')

/** What an item becomes at the target. */
export interface CarriedItem {
  readonly prefix: Buffer | null
  readonly value: Buffer
  /** The flags as a value of their own; null = none. */
  readonly sidecar: Buffer | null
  /** An object of a client's language, which nothing here can read. */
  readonly opaque: boolean
}

/** What becomes of an item's flags. */
export class FlagForm {
  readonly policy: FlagPolicy
  private readonly client: Client | null

  constructor(policy: FlagPolicy, client: Client | null) {
    this.policy = policy
    this.client = client
  }

  carry({ value, flags }: Item): CarriedItem {
    switch (this.policy) {
      case 'drop':
        return { prefix: null, value, sidecar: null, opaque: false }
      case 'prefix':
        return { prefix: Buffer.from(`${flags}:`), value, sidecar: null, opaque: false }
      case 'sidecar':
        return { prefix: null, value, sidecar: flags === 0 ? null : Buffer.from(String(flags)), opaque: false }
      case 'decode': {
        const decoded = clientValue(this.client!, value, flags)
        return { prefix: null, value: decoded.value, sidecar: null, opaque: decoded.opaque }
      }
    }
  }
}
