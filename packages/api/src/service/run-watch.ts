import type { NumberedEvent, Phase, StateStore } from '@ferrite-migrate/core'
import type { Notices } from '../protocol/results.js'
import { derivedStatus } from './derived-status.js'

/** Who gets notifications. */
export type Notify = <N extends keyof Notices>(name: N, notice: Notices[N]) => void

/** Follows one migration in the state, whichever process runs it, and tells what is new. */
export class RunWatch {
  private readonly id: string
  private readonly store: StateStore
  private readonly notify: Notify
  private last: number
  private updatedAt = 0
  private wasOver = false
  private phase: Phase | null = null

  /** @param after number of the last event that is known already */
  constructor(id: string, store: StateStore, notify: Notify, after: number) {
    this.id = id
    this.store = store
    this.notify = notify
    this.last = after
  }

  /** Tells what came since the last look; false once the run is over and all of it was told. */
  look(): boolean {
    const { id, store, notify } = this
    const stored = store.find(id)
    if (stored === undefined) return false
    for (const event of store.eventsAfter(id, this.last)) this.tell(event)
    const { status } = stored
    const over = status.state !== 'RUNNING'
    if (status.updatedAt !== this.updatedAt || over !== this.wasOver) {
      this.updatedAt = status.updatedAt
      this.wasOver = over
      // A run that was killed could not say so.
      if (over && this.phase !== status.phase) notify('phase', { id, phase: status.phase, at: Date.now() })
      notify('progress', { id, status: derivedStatus(status) })
    }
    return !over
  }

  private tell(event: NumberedEvent): void {
    this.last = event.number
    if (event.type === 'phase') {
      this.phase = event.text as Phase
      this.notify('phase', { id: this.id, phase: this.phase, at: event.at })
    } else this.notify('note', { id: this.id, event })
  }
}
