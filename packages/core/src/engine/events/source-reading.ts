import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError, type ReadRequest, type Shard, type SourceEvent } from '@ferrite-migrate/contracts'
import { pluginFault } from '../../adapters/plugin-fault.js'
import { EventCheck } from './event-check.js'

const ENDS_WITHIN_MS = 10_000
/** In that time. */
const LOOKS = 50

/** Reads a shard whose source is a plugin's: its events are looked at, its errors are its own, and its end is not waited for in vain. */
export class SourceReading {
  private readonly shard: Shard
  private readonly plugin: string
  private readonly check: EventCheck
  /** Nothing is asked of the source while what it gave is taken. */
  private waiting = false
  private events = 0
  /** What was thrown last came from taking an event, and not from the source. */
  failedInTaking = false
  /** Which reading it is: of one that did not end nobody takes what still comes. */
  private reading = 0

  private readonly endsWithinMs: number

  /**
   * @param plugin the package that the source is from
   * @param endsWithinMs how long it may take to end its reading once it was asked to
   */
  constructor(shard: Shard, plugin: string, endsWithinMs = ENDS_WITHIN_MS) {
    this.endsWithinMs = endsWithinMs
    this.shard = shard
    this.plugin = plugin
    this.check = new EventCheck(plugin)
  }

  /**
   * Gives events to `take` until that says false, the source ends, or it does not end although it was asked to.
   * @throws MigrateError FM_PLUGIN_EVENT, FM_PLUGIN_FAULT; what the source and `take` throw
   */
  async run(
    request: ReadRequest,
    take: (event: SourceEvent) => Promise<boolean>,
    onStuck: (text: string) => void,
  ): Promise<void> {
    const over = new AbortController()
    try {
      await Promise.race([this.readAll(request, take), this.stuck(request.signal, over.signal, onStuck)])
    } finally {
      over.abort()
    }
  }

  private async readAll(request: ReadRequest, take: (event: SourceEvent) => Promise<boolean>): Promise<void> {
    this.check.begin()
    const own = ++this.reading
    try {
      this.waiting = true
      for await (const event of this.shard.read(request)) {
        if (this.reading !== own) return
        this.waiting = false
        this.events++
        this.check.look(event)
        const goesOn = await take(event)
        this.waiting = true
        if (!goesOn) return
      }
    } catch (error) {
      this.failedInTaking = !this.waiting
      if (!this.waiting || error instanceof MigrateError) throw error
      throw pluginFault('source', this.plugin, 'failed while it was read', error)
    } finally {
      if (this.reading === own) this.waiting = false
    }
  }

  /** Resolves when the source was asked to end and does not. */
  private async stuck(signal: AbortSignal, over: AbortSignal, onStuck: (text: string) => void): Promise<void> {
    await aborted(AbortSignal.any([signal, over]))
    let seen = this.events
    let since = performance.now()
    for (;;) {
      await sleep(this.endsWithinMs / LOOKS, undefined, { ref: false })
      if (over.aborted) return
      if (!this.waiting || this.events !== seen) {
        seen = this.events
        since = performance.now()
      } else if (performance.now() - since > this.endsWithinMs) break
    }
    this.reading++
    onStuck(
      `the source plugin ${this.plugin} was asked to end its reading, and has not done so within ${this.endsWithinMs / 1000} s: it is left as it is`,
    )
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
