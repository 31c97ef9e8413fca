import type { Source } from '@ferrite-migrate/contracts'

const LOOK_MS = 500
const MOST_MS = 400

/** Watches how the source fares, and tells how long to rest between two reads so that it does not suffer. */
export class SourceGuard {
  private readonly source: Source
  private readonly maxCpu: number
  private readonly maxLatencyMs: number
  private rest = 0
  private timer: NodeJS.Timeout | undefined
  private looking = false
  private readonly onChange: (text: string) => void

  /** @param maxCpu share of one processor, 0 to 1; 0 = not watched. `maxLatencyMs` likewise. */
  constructor(source: Source, maxCpu: number, maxLatencyMs: number, onChange: (text: string) => void) {
    this.source = source
    this.maxCpu = maxCpu
    this.maxLatencyMs = maxLatencyMs
    this.onChange = onChange
  }

  start(): void {
    if (this.source.load !== undefined && (this.maxCpu > 0 || this.maxLatencyMs > 0))
      this.timer = setInterval(() => void this.look(), LOOK_MS)
  }

  stop(): void {
    clearInterval(this.timer)
  }

  /** How long to rest now, ms. */
  pace(): number {
    return this.rest
  }

  private async look(): Promise<void> {
    if (this.looking) return
    this.looking = true
    try {
      const load = await this.source.load?.()
      if (load === undefined) return
      const suffers =
        (this.maxCpu > 0 && load.cpu !== null && load.cpu > this.maxCpu) ||
        (this.maxLatencyMs > 0 && load.latencyMs > this.maxLatencyMs)
      const before = this.rest
      this.rest = suffers ? Math.min(MOST_MS, Math.max(5, this.rest * 2)) : this.rest > 5 ? this.rest / 2 : 0
      if (before === 0 && this.rest > 0)
        this.onChange(
          `reading slows down: the source is ${load.cpu === null ? '' : `${Math.round(load.cpu * 100)}% busy and `}takes ${load.latencyMs.toFixed(1)} ms to answer`,
        )
      else if (before > 0 && this.rest === 0) this.onChange('reading goes on at full speed')
    } catch {
      // A source that cannot be asked is dealt with where its data is read.
    } finally {
      this.looking = false
    }
  }
}
