/** Tells once when the lag grows over its limit, and again only after it was under half of it. */
export class LagAlarm {
  private readonly limit: number
  private raised = false

  /** @param limit keys; 0 = never */
  constructor(limit: number) {
    this.limit = limit
  }

  /** True = the limit was passed just now. */
  passed(keys: number): boolean {
    if (this.limit === 0) return false
    const over = !this.raised && keys > this.limit
    if (over) this.raised = true
    else if (keys < this.limit / 2) this.raised = false
    return over
  }
}
