/** Counts failed writes over a sliding window. */
export class ErrorRate {
  private readonly limit: number
  private readonly slots: { at: number; writes: number; failures: number }[] = []

  /** @param limit share of failed writes, 0 to 1 */
  constructor(limit: number) {
    this.limit = limit
  }

  /** True when more than the limit failed. */
  add(writes: number, failures: number, now = Date.now()): boolean {
    const last = this.slots.at(-1)
    if (last !== undefined && now - last.at < SLOT_MS) {
      last.writes += writes
      last.failures += failures
    } else this.slots.push({ at: now, writes, failures })
    while (now - this.slots[0].at > WINDOW_MS) this.slots.shift()
    let all = 0
    let failed = 0
    for (const slot of this.slots) {
      all += slot.writes
      failed += slot.failures
    }
    return all >= LEAST && failed / all > this.limit
  }
}

const SLOT_MS = 250
const WINDOW_MS = 10_000
/** Fewer writes than this say nothing about a rate. */
const LEAST = 100
