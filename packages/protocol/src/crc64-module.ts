/**
 * The inner loop of CRC-64 as WebAssembly: it has numbers of 64 bits, so that a step of eight bytes takes eight loads where JavaScript
 * needs sixteen, and it goes through two halves at once, since each step waits for the one before it. The halves are put together by
 * tables that say what becomes of a checksum over so many bytes of zero (Kounavis and Berry, 2005, for the steps; the halves are linear
 * algebra over GF(2), as in zlib's crc32_combine).
 */

/** Bytes of each half. */
export const HALF = 4096
/** Where the checksum, the tables of the steps, those of the halves, and the data lie in the memory. */
export const STEPS_AT = 1024
export const HALVES_AT = STEPS_AT + 8 * 256 * 8
export const DATA_AT = 1 << 16
export const PAGES = 3
/** Bytes of data that fit. */
export const ROOM = PAGES * 65_536 - DATA_AT

const I32 = 0x7f
const I64 = 0x7e
/** The parameters, and the variables: both halves' checksums, and where the first half ends. */
const FROM = 0
const TO = 1
const FIRST = 2
const SECOND = 3
const STOP = 4

function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest & 127) | 128)
  }
}

function signed(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7) {
    const byte = rest & 127
    if ((rest >> 6 === 0 && (byte & 64) === 0) || (rest >> 6 === -1 && (byte & 64) !== 0)) return [...bytes, byte]
    bytes.push(byte | 128)
  }
}

const sized = (bytes: readonly number[]): number[] => [...unsigned(bytes.length), ...bytes]
const section = (id: number, bytes: readonly number[]): number[] => [id, ...sized(bytes)]
const named = (text: string): number[] => sized([...Buffer.from(text)])

const get = (variable: number): number[] => [0x20, variable]
const set = (variable: number): number[] => [0x21, variable]
const i32 = (value: number): number[] => [0x41, ...signed(value)]
const i64 = (value: number): number[] => [0x42, ...signed(value)]
const I32_LESS = [0x49]
const I32_AT_LEAST = [0x4f]
const I32_ADD = [0x6a]
const I32_SUBTRACT = [0x6b]
const I32_AND = [0x71]
const I64_AND = [0x83]
const I64_XOR = [0x85]
const I64_LEFT = [0x86]
const I64_RIGHT = [0x88]
const WRAP = [0xa7]
const load = (offset: number): number[] => [0x29, 0, ...unsigned(offset)]
const loadByte = (offset: number): number[] => [0x31, 0, ...unsigned(offset)]
const store = (offset: number): number[] => [0x37, 0, ...unsigned(offset)]
const add = (variable: number, value: number): number[] => [
  ...get(variable),
  ...i32(value),
  ...I32_ADD,
  ...set(variable),
]

/** Repeats while the condition holds, which is looked at first. */
const during = (condition: readonly number[], body: readonly number[]): number[] => [
  ...[0x02, 0x40, 0x03, 0x40],
  ...condition,
  // Not: out of the block.
  ...[0x45, 0x0d, 1],
  ...body,
  ...[0x0c, 0, 0x0b, 0x0b],
]

/** What eight tables say of the eight bytes of a variable, together. @param table of which byte */
function looked(variable: number, at: number, table: (byte: number) => number): number[] {
  const code: number[] = []
  for (let byte = 0; byte < 8; byte++) {
    const shift = byte * 8 - 3
    code.push(
      ...get(variable),
      ...(shift < 0 ? [...i64(3), ...I64_LEFT] : [...i64(shift), ...I64_RIGHT]),
      ...[...WRAP, ...i32(0x7f8), ...I32_AND, ...load(at + table(byte) * 2048)],
      ...(byte === 0 ? [] : I64_XOR),
    )
  }
  return code
}

const mixed = (variable: number, offset: number): number[] => [
  ...[...get(variable), ...get(FROM), ...load(offset), ...I64_XOR, ...set(variable)],
  ...looked(variable, STEPS_AT, (byte) => 7 - byte),
  ...set(variable),
]
const left = (bytes: number): number[] => [...get(TO), ...get(FROM), ...I32_SUBTRACT, ...i32(bytes), ...I32_AT_LEAST]

const UPDATE = [
  // One variable of 32 bits comes behind two of 64.
  ...[2, 2, I64, 1, I32],
  ...[...i32(0), ...load(0), ...set(FIRST)],
  ...during(left(2 * HALF), [
    ...[...i64(0), ...set(SECOND), ...get(FROM), ...i32(HALF), ...I32_ADD, ...set(STOP)],
    ...during([...get(FROM), ...get(STOP), ...I32_LESS], [...mixed(FIRST, 0), ...mixed(SECOND, HALF), ...add(FROM, 8)]),
    ...looked(FIRST, HALVES_AT, (byte) => byte),
    ...[...get(SECOND), ...I64_XOR, ...set(FIRST)],
    ...add(FROM, HALF),
  ]),
  ...during(left(8), [...mixed(FIRST, 0), ...add(FROM, 8)]),
  ...during(
    [...get(FROM), ...get(TO), ...I32_LESS],
    [
      ...[...get(FIRST), ...get(FROM), ...loadByte(0), ...I64_XOR, ...i64(255), ...I64_AND, ...i64(3), ...I64_LEFT],
      ...[...WRAP, ...load(STEPS_AT), ...get(FIRST), ...i64(8), ...I64_RIGHT, ...I64_XOR, ...set(FIRST)],
      ...add(FROM, 1),
    ],
  ),
  ...[...i32(0), ...get(FIRST), ...store(0), 0x0b],
]

/**
 * A module that exports its `memory` and `update(from, to)`, which takes the bytes of the memory from one place to another into the
 * checksum that lies at its beginning. The tables have to be filled in first.
 */
export function crc64Module(): Uint8Array {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, I32, I32, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, PAGES]),
    ...section(7, [2, ...named('memory'), 2, 0, ...named('update'), 0, 0]),
    ...section(10, [1, ...sized(UPDATE)]),
  ])
}
