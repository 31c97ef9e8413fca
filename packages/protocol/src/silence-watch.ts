export interface Watched {
  /** How long nothing may come while something is owed, ms. */
  readonly limitMs: number
  /** True while the other side owes an answer, or a sign of life. */
  expecting(): boolean
  /** True while nobody listens on this side, so that silence says nothing. */
  deaf(): boolean
  /** Bytes that wait to be sent: as long as they become fewer, the other side takes something. */
  pendingBytes(): number
  /** Called once, when nothing came for too long. */
  silent(ms: number): void
}

const LOOK_MS = 500
/** A look that comes so late tells that this process stood still, not the other side. */
const LATE_MS = 3000

const LEAST_MS = 5000
const MOST_MS = 30_000

/** How long silence may last, ms: whoever wants an end soon (sync-timeout, ms) wants it noticed soon. */
export function silenceLimit(syncTimeoutMs: unknown): number {
  return typeof syncTimeoutMs === 'number' ? Math.min(MOST_MS, Math.max(LEAST_MS, syncTimeoutMs)) : MOST_MS
}

/**
 * The one place where a connection notices that nobody answers any more: neither an end nor a byte, as behind a network
 * that swallows everything. Whatever comes, and whatever is taken off our hands, counts as a sign of life.
 */
export class SilenceWatch {
  expecting: () => boolean
  private readonly watched: Watched
  private readonly timer: NodeJS.Timeout
  private limit: number
  private progressAt = Date.now()
  private lookedAt = Date.now()
  private owed = false
  private pending = 0

  constructor(watched: Watched) {
    this.watched = watched
    this.limit = watched.limitMs
    this.expecting = () => watched.expecting()
    this.timer = setInterval(() => this.look(), LOOK_MS)
    this.timer.unref()
  }

  set limitMs(ms: number) {
    this.limit = ms
    this.progressAt = Date.now()
  }

  /** Something came. */
  progress(): void {
    this.progressAt = this.lookedAt
  }

  end(): void {
    clearInterval(this.timer)
  }

  private look(): void {
    const now = Date.now()
    const pending = this.watched.pendingBytes()
    const owed = !this.watched.deaf() && this.expecting()
    if (now - this.lookedAt > LATE_MS || now < this.lookedAt || !owed || !this.owed || pending < this.pending)
      this.progressAt = now
    this.lookedAt = now
    this.owed = owed
    this.pending = pending
    const silentFor = now - this.progressAt
    if (silentFor < this.limit) return
    this.end()
    this.watched.silent(silentFor)
  }
}
