/**
 * What a transform script may define, as functions of the script or as exports of a module. All of them are optional.
 * The same question must always get the same answer: verification asks again.
 */

/** Text where the bytes are valid UTF-8, the bytes themselves where they are not. */
export type Bytes = string | Uint8Array
export type KeyType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream'

export interface StreamEntry {
  /** `<ms>-<seq>`; entries may be left out, ids must stay. */
  id: string
  fields: [field: Bytes, value: Bytes][]
}

/** A value by its type. A hash is an object where all field names are text, else a Map. */
export interface Values {
  string: Bytes
  list: Bytes[]
  set: Set<Bytes>
  /** Members with their scores. */
  zset: Map<Bytes, number>
  hash: Record<string, Bytes> | Map<Bytes, Bytes>
  stream: StreamEntry[]
}
export type Value = Values[KeyType]

/** The name at the target; null leaves the key out. Keys come after the rules of transform.yaml. */
export type TransformKey = (key: Bytes) => Bytes | null
/** The value at the target, of the same type; null leaves the key out. `key` is the name at the source. */
export type TransformValue = (key: Bytes, value: Value, type: KeyType) => Value | null
/** The same for many at once; one answer for each, in order. */
export type TransformKeys = (keys: Bytes[]) => (Bytes | null)[]
export type TransformValues = (entries: { key: Bytes; value: Value; type: KeyType }[]) => (Value | null)[]
