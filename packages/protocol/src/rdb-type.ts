import type { KeyType } from '@ferrite-migrate/contracts'

/** RDB opcodes that are not value types. */
export const Opcode = {
  /** Redis 8.10: the field names that hashes of one template share. */
  hashTemplate: 242,
  keyMeta: 243,
  slotInfo: 244,
  function2: 245,
  functionPreRelease: 246,
  moduleAux: 247,
  idle: 248,
  freq: 249,
  aux: 250,
  resizeDb: 251,
  expireTimeMs: 252,
  expireTime: 253,
  selectDb: 254,
  eof: 255,
} as const

/** RDB value types. Numbers from 22 on mean other things in Valkey's files (RDB version 80 and above). */
export const RdbType = {
  string: 0,
  list: 1,
  set: 2,
  zset: 3,
  hash: 4,
  zset2: 5,
  modulePreRelease: 6,
  module2: 7,
  hashZipmap: 9,
  listZiplist: 10,
  setIntset: 11,
  zsetZiplist: 12,
  hashZiplist: 13,
  listQuicklist: 14,
  stream: 15,
  hashListpack: 16,
  zsetListpack: 17,
  listQuicklist2: 18,
  stream2: 19,
  setListpack: 20,
  stream3: 21,
  valkeyHash2: 22,
  hashMetaPreRelease: 22,
  hashListpackExPreRelease: 23,
  hashMeta: 24,
  hashListpackEx: 25,
  /** With what makes XADD idempotent (Redis 8.6). */
  stream4: 26,
  /** The same, with entries that no consumer owns (Redis 8.8). */
  stream5: 27,
  array: 28,
  templatePack: 29,
  templatePackRef: 30,
  templateHash: 31,
  templateHashRef: 32,
  rateLimit: 33,
} as const

/** The first RDB version of Valkey's own numbering. */
export const VALKEY_RDB_VERSION = 80

const KEY_TYPES: readonly (KeyType | undefined)[] = [
  'string',
  'list',
  'set',
  'zset',
  'hash',
  'zset',
  'module',
  'module',
  undefined,
  'hash',
  'list',
  'set',
  'zset',
  'hash',
  'list',
  'stream',
  'hash',
  'zset',
  'list',
  'stream',
  'set',
  'stream',
  'hash',
  'hash',
  'hash',
  'hash',
  'stream',
  'stream',
  'module',
  'hash',
  'hash',
  'hash',
  'hash',
  'module',
]
const NAMES: readonly string[] = [
  'string',
  'list',
  'set',
  'zset',
  'hash',
  'zset2',
  'module (pre-release)',
  'module',
  '8',
  'hash zipmap',
  'list ziplist',
  'set intset',
  'zset ziplist',
  'hash ziplist',
  'list quicklist',
  'stream',
  'hash listpack',
  'zset listpack',
  'list quicklist2',
  'stream v2',
  'set listpack',
  'stream v3',
  'hash with field expiry',
  'hash listpack with field expiry (pre-release)',
  'hash with field expiry',
  'hash listpack with field expiry',
  'stream v4',
  'stream v5',
  'array',
  'hash of a template, packed',
  'hash of a template, packed',
  'hash of a template',
  'hash of a template',
  'rate limit',
]

/** True for the numbers of value types that no version evidences. */
export function isUnknownType(type: number, rdbVersion: number): boolean {
  return keyTypeOf(type, rdbVersion) === undefined
}

/**
 * True for values of which only the bytes are known: modules, and types that this version does not know. They travel raw, to
 * a target that knows their type.
 */
export function isOpaque(type: number, rdbVersion: number): boolean {
  return (
    isUnknownType(type, rdbVersion) ||
    type === RdbType.module2 ||
    type === RdbType.modulePreRelease ||
    type === RdbType.array ||
    type === RdbType.rateLimit
  )
}

/** True for the forms of a stream that carry what makes XADD idempotent. */
export function hasProducers(type: number): boolean {
  return type === RdbType.stream4 || type === RdbType.stream5
}

/** The key type behind an RDB value type, undefined for numbers that no version evidences. */
export function keyTypeOf(type: number, rdbVersion: number): KeyType | undefined {
  return rdbVersion >= VALKEY_RDB_VERSION && type > RdbType.valkeyHash2 ? undefined : KEY_TYPES[type]
}

export function rdbTypeName(type: number): string {
  return NAMES[type] ?? String(type)
}

/** True for types whose body holds a time to live per field. */
export function hasFieldExpiry(type: number): boolean {
  return type >= 22 && type <= 25
}
