import { MigrateError } from '@ferrite-migrate/contracts'

/** Lets so many go at once; the others wait for their turn. */
export class Turns {
  private free: number
  private readonly waiting: (() => void)[] = []

  constructor(most: number) {
    this.free = most
  }

  /** @param signal aborted: whoever gets his turn then leaves it to the next. @throws MigrateError FM_INTERRUPTED then */
  async take<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.free > 0) this.free--
    else await new Promise<void>((go) => this.waiting.push(go))
    try {
      if (signal.aborted) throw new MigrateError('FM_INTERRUPTED', 'nobody waits for it any more', 'Ask once more.')
      return await work()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.free++
      else next()
    }
  }
}
