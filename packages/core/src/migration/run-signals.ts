/** When a run ends, and when the pass that is under way does. */
export class RunSignals {
  /** Somebody asked for an end. */
  wantsStop = false
  private readonly all = new AbortController()
  private pass = new AbortController()

  /** Aborted when nothing at all shall be read any more. */
  get stopping(): AbortSignal {
    return this.all.signal
  }

  /** Aborted when the pass that is under way reads no more. */
  get reading(): AbortSignal {
    return this.pass.signal
  }

  beginPass(): void {
    this.pass = new AbortController()
    if (this.wantsStop) this.pass.abort()
  }

  endPass(): void {
    this.pass.abort()
  }

  /** Nothing is read any more, whoever wanted that. */
  abort(): void {
    this.all.abort()
    this.pass.abort()
  }

  stop(): void {
    this.wantsStop = true
    this.abort()
  }
}
