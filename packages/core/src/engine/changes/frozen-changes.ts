import type { ChangesEvent, SourceEvent } from '@ferrite-migrate/contracts'
import type { RecordFilter } from '../../records/key-filter.js'
import type { ChangeTrack } from './change-track.js'

/**
 * A stream while the traffic is being moved: what comes is noted and not applied, and nothing of the source is written or
 * deleted any more. Behind a fence it is little.
 */
export class FrozenChanges {
  private readonly filter: RecordFilter
  private readonly held: ChangesEvent[] = []
  private missed = false
  /** Who wants to know what comes; null = the stream is not frozen. */
  track: ChangeTrack | null = null

  constructor(filter: RecordFilter) {
    this.filter = filter
  }

  /** Keeps what came for later; false = the stream is not frozen, and the event is to be applied. */
  async takes(event: SourceEvent): Promise<boolean> {
    const { track } = this
    if (track === null) return false
    switch (event.kind) {
      case 'changes':
        for (const record of event.records) track.add(record)
        this.held.push(event)
        break
      case 'dirty':
        track.addKeys(event.keys.filter(({ db, key }) => this.filter.takesKey(db, key)))
        this.missed = true
        break
      case 'sync':
        if (event.mode === 'full') track.resynced = true
        this.missed ||= event.mode !== 'partial'
        break
      case 'snapshot':
        this.missed = true
        // The slices of a large value stand in the way of what follows.
        for (const { value } of event.records) if (value.form === 'sliced') for await (const _ of value.slices);
        event.release?.()
        break
      case 'snapshot-end':
        this.missed = true
    }
    return true
  }

  /**
   * The traffic stays where it was, and something came that is no change and was not written: everything has to come again,
   * and what was kept is older than that. True once.
   */
  hasMissed(): boolean {
    const { missed } = this
    this.missed = false
    if (missed) this.close()
    return missed
  }

  /** What came meanwhile, in order, to be applied now. */
  kept(): ChangesEvent[] {
    return this.held.splice(0)
  }

  close(): void {
    for (const event of this.held.splice(0)) event.release?.()
  }
}
