import type { Frame } from './frame.js'

/** The types in the order of their numbers in a request. */
export const TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const

/** What a worker is asked. */
export type ScriptRequest =
  | { readonly kind: 'keys'; readonly frame: Frame }
  | {
      readonly kind: 'values'
      readonly types: Uint8Array<ArrayBuffer>
      /** Strings of each value; a stream entry is its id, the number of its strings, and these. */
      readonly counts: Uint32Array<ArrayBuffer>
      /** For each value its key and its strings. */
      readonly frame: Frame
    }

/** What became of one key or value. */
export const State = { same: 0, changed: 1, dropped: 2, fault: 3 } as const

export interface ScriptAnswer {
  readonly states: Uint8Array<ArrayBuffer>
  /** Strings of each answer: of a changed value as in the request; of a fault its text. */
  readonly counts: Uint32Array<ArrayBuffer>
  readonly frame: Frame
}

/** What a script defines. */
export interface ScriptFacts {
  readonly keys: boolean
  readonly values: boolean
}
