import { crc64Module, DATA_AT, HALF, HALVES_AT, ROOM, STEPS_AT } from './crc64-module.js'

/** What is used of it: its types come with those of browsers only. */
declare const WebAssembly:
  | {
      readonly Module: new (bytes: Uint8Array) => object
      readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
      readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> }
    }
  | undefined

/**
 * CRC-64 as Redis uses it for RDB files and DUMP payloads: polynomial ad93d23594c935a9 ("Jones"), reflected, start 0,
 * no final xor; check value of "123456789" is e9c6d914c4b8d9ca. Eight bytes a step (slicing-by-8) on 32-bit halves,
 * because BigInt would be some seventy times slower.
 */
const REFLECTED_LOW = 0xac4bc9b5 | 0
const REFLECTED_HIGH = 0x95ac9329 | 0
const LOW = new Int32Array(8 * 256)
const HIGH = new Int32Array(8 * 256)

for (let byte = 0; byte < 256; byte++) {
  let low = byte
  let high = 0
  for (let bit = 0; bit < 8; bit++) {
    const carry = low & 1
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (carry) {
      low ^= REFLECTED_LOW
      high ^= REFLECTED_HIGH
    }
  }
  LOW[byte] = low
  HIGH[byte] = high
}
for (let table = 1; table < 8; table++) {
  for (let byte = 0; byte < 256; byte++) {
    const low = LOW[(table - 1) * 256 + byte]
    const high = HIGH[(table - 1) * 256 + byte]
    LOW[table * 256 + byte] = ((low >>> 8) | (high << 24)) ^ LOW[low & 255]
    HIGH[table * 256 + byte] = (high >>> 8) ^ HIGH[low & 255]
  }
}

/** Fewer bytes are done sooner than they are copied. */
const WORTH_BYTES = 512

/** The same by WebAssembly, which is three times as fast over long ranges. */
class FastCrc64 {
  private readonly memory: Uint8Array
  private readonly state: Int32Array
  private readonly run: (from: number, to: number) => void

  private constructor({ buffer }: { readonly buffer: ArrayBuffer }, run: (from: number, to: number) => void) {
    this.memory = new Uint8Array(buffer)
    this.state = new Int32Array(buffer, 0, 2)
    this.run = run
    const steps = new Int32Array(buffer, STEPS_AT, 8 * 256 * 2)
    for (let i = 0; i < 8 * 256; i++) {
      steps[i * 2] = LOW[i]
      steps[i * 2 + 1] = HIGH[i]
    }
    const halves = new Int32Array(buffer, HALVES_AT, 8 * 256 * 2)
    // Of each bit what becomes of it over a half of zeroes; of all others the sum of their bits.
    for (let bit = 0; bit < 64; bit++) {
      this.state[0] = bit < 32 ? 1 << bit : 0
      this.state[1] = bit < 32 ? 0 : 1 << (bit - 32)
      run(DATA_AT, DATA_AT + HALF)
      const table = (bit >> 3) * 256
      const lowest = 1 << (bit & 7)
      for (let value = lowest; value < lowest * 2; value++) {
        const rest = (table + value - lowest) * 2
        halves[(table + value) * 2] = halves[rest] ^ this.state[0]
        halves[(table + value) * 2 + 1] = halves[rest + 1] ^ this.state[1]
      }
    }
  }

  /** Null where there is no WebAssembly, as under `--jitless`. */
  static open(): FastCrc64 | null {
    if (typeof WebAssembly === 'undefined') return null
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(crc64Module()))
    const { memory, update } = exports
    if (!(memory instanceof WebAssembly.Memory) || typeof update !== 'function') return null
    return new FastCrc64(memory, (from, to) => void update(from, to))
  }

  /** Goes on from a checksum; gives the low half of the new one, and leaves the other in `high`. */
  update(low: number, high: number, data: Uint8Array, start: number, end: number): number {
    const { memory, state } = this
    state[0] = low
    state[1] = high
    for (let at = start; at < end; at += ROOM) {
      const part = data.subarray(at, Math.min(end, at + ROOM))
      memory.set(part, DATA_AT)
      this.run(DATA_AT, DATA_AT + part.length)
    }
    return state[0]
  }

  get high(): number {
    return this.state[1]
  }
}

let fast: FastCrc64 | null | undefined

/** A running checksum. */
export class Crc64 {
  private low = 0
  private high = 0

  update(data: Uint8Array, start = 0, end = data.length): this {
    if (end - start >= WORTH_BYTES) {
      if (fast === undefined) fast = FastCrc64.open()
      if (fast !== null) {
        this.low = fast.update(this.low, this.high, data, start, end)
        this.high = fast.high
        return this
      }
    }
    return this.bytes(data, start, end)
  }

  private bytes(data: Uint8Array, start: number, end: number): this {
    let low = this.low
    let high = this.high
    let at = start
    for (const stop = end - 7; at < stop; at += 8) {
      const a = low ^ (data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24))
      const b = high ^ (data[at + 4] | (data[at + 5] << 8) | (data[at + 6] << 16) | (data[at + 7] << 24))
      const i0 = 1792 + (a & 255)
      const i1 = 1536 + ((a >>> 8) & 255)
      const i2 = 1280 + ((a >>> 16) & 255)
      const i3 = 1024 + (a >>> 24)
      const i4 = 768 + (b & 255)
      const i5 = 512 + ((b >>> 8) & 255)
      const i6 = 256 + ((b >>> 16) & 255)
      const i7 = b >>> 24
      low = LOW[i0] ^ LOW[i1] ^ LOW[i2] ^ LOW[i3] ^ LOW[i4] ^ LOW[i5] ^ LOW[i6] ^ LOW[i7]
      high = HIGH[i0] ^ HIGH[i1] ^ HIGH[i2] ^ HIGH[i3] ^ HIGH[i4] ^ HIGH[i5] ^ HIGH[i6] ^ HIGH[i7]
    }
    for (; at < end; at++) {
      const index = (low ^ data[at]) & 255
      low = ((low >>> 8) | (high << 24)) ^ LOW[index]
      high = (high >>> 8) ^ HIGH[index]
    }
    this.low = low
    this.high = high
    return this
  }

  reset(): this {
    this.low = 0
    this.high = 0
    return this
  }

  /** Writes the checksum as the eight little-endian bytes of a trailer. */
  write(out: Uint8Array, at: number): void {
    out[at] = this.low
    out[at + 1] = this.low >>> 8
    out[at + 2] = this.low >>> 16
    out[at + 3] = this.low >>> 24
    out[at + 4] = this.high
    out[at + 5] = this.high >>> 8
    out[at + 6] = this.high >>> 16
    out[at + 7] = this.high >>> 24
  }

  equals(data: Uint8Array, at: number): boolean {
    const own = Buffer.allocUnsafe(8)
    this.write(own, 0)
    return own.compare(data, at, at + 8) === 0
  }
}
