import { setTimeout as sleep } from 'node:timers/promises'

const MOST_MS = 2 ** 31 - 1

/** What every record passes before it is written: a pause that an operator asked for, and a limit of the rate. */
export class Gate {
  private readonly perSecond: number
  private opened: PromiseWithResolvers<void> | null = null
  private tokens: number
  private filledAt = Date.now()
  /** Aborted when nobody waits any more. */
  private readonly over = new AbortController()

  /** @param perSecond records a second, 0 = no limit */
  constructor(perSecond: number) {
    this.perSecond = perSecond
    this.tokens = perSecond
  }

  get paused(): boolean {
    return this.opened !== null
  }

  pause(): void {
    if (!this.over.signal.aborted) this.opened ??= Promise.withResolvers<void>()
  }

  resume(): void {
    this.opened?.resolve()
    this.opened = null
  }

  /** Nothing waits any more, and nothing can be held up from now on. */
  end(): void {
    this.over.abort()
    this.resume()
  }

  /** Waits while paused or too fast. Takes at once when there is nothing to wait for. */
  pass(records: number): Promise<void> | undefined {
    return (this.opened === null && this.perSecond === 0) || this.over.signal.aborted ? undefined : this.wait(records)
  }

  private async wait(records: number): Promise<void> {
    while (this.opened !== null) await this.opened.promise
    if (this.perSecond === 0) return
    const now = Date.now()
    this.tokens = Math.min(this.perSecond, this.tokens + ((now - this.filledAt) / 1000) * this.perSecond) - records
    this.filledAt = now
    if (this.tokens < 0)
      await sleep(Math.min((-this.tokens / this.perSecond) * 1000, MOST_MS), undefined, {
        signal: this.over.signal,
      }).catch(() => undefined)
  }
}
