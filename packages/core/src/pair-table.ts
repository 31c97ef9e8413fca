const WORDS = 4
/** Of four slots at most three are taken. */
const FULL = 0.75

/** What became of a key that one side told. */
export type Meeting = 'alone' | 'equal' | 'different'

/**
 * Keys that one of two sides told, with a hash of what it holds: 63 bits of the name, 63 of the value and the side. Whoever
 * comes second is compared with the first, and both are forgotten: about half of all keys wait at once, 16 bytes each.
 */
export class PairTable {
  private slots = new Int32Array(WORDS << 16)
  /** Keys that wait for the other side, by the side that told them. */
  readonly alone: [number, number] = [0, 0]
  /** Keys that both sides told. */
  met = 0

  /** The name's hash is (a, b), the value's (c, d). */
  meet(a: number, b: number, c: number, d: number, side: 0 | 1): Meeting {
    if ((this.alone[0] + this.alone[1]) * WORDS > this.slots.length * FULL) this.grow()
    const name = b | 1
    const at = this.place(this.slots, a, name)
    const { slots } = this
    const value = (d & ~1) | side
    if (slots[at + 1] === 0) {
      slots[at] = a
      slots[at + 1] = name
      slots[at + 2] = c
      slots[at + 3] = value
      this.alone[side]++
      return 'alone'
    }
    const first = (slots[at + 3] & 1) as 0 | 1
    // A key that one side tells twice is looked at by value.
    if (first === side) return 'different'
    const equal = slots[at + 2] === c && (slots[at + 3] ^ value) === 1
    this.alone[first]--
    this.met++
    this.remove(at)
    return equal ? 'equal' : 'different'
  }

  /** True when only this side told the key. */
  isAlone(a: number, b: number, side: 0 | 1): boolean {
    const at = this.place(this.slots, a, b | 1)
    return this.slots[at + 1] !== 0 && (this.slots[at + 3] & 1) === side
  }

  private place(slots: Int32Array, a: number, name: number): number {
    for (let at = this.home(slots, a, name); ; at = this.next(slots, at))
      if (slots[at + 1] === 0 || (slots[at] === a && slots[at + 1] === name)) return at
  }

  private home(slots: Int32Array, a: number, name: number): number {
    return ((a ^ name) & (slots.length / WORDS - 1)) * WORDS
  }

  private next(slots: Int32Array, at: number): number {
    return at + WORDS === slots.length ? 0 : at + WORDS
  }

  /** Closes the gap: whoever stands behind it because it was taken moves up. */
  private remove(gap: number): void {
    const { slots } = this
    for (let at = this.next(slots, gap); slots[at + 1] !== 0; at = this.next(slots, at)) {
      const home = this.home(slots, slots[at], slots[at + 1])
      const between = gap <= at ? home > gap && home <= at : home > gap || home <= at
      if (between) continue
      for (let word = 0; word < WORDS; word++) slots[gap + word] = slots[at + word]
      gap = at
    }
    slots[gap + 1] = 0
  }

  private grow(): void {
    const former = this.slots
    this.slots = new Int32Array(former.length * 2)
    for (let i = 0; i < former.length; i += WORDS) {
      if (former[i + 1] === 0) continue
      const at = this.place(this.slots, former[i], former[i + 1])
      for (let word = 0; word < WORDS; word++) this.slots[at + word] = former[i + word]
    }
  }
}
