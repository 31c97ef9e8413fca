import type { DirtyKey } from '@ferrite-migrate/contracts'
import { ChangeTrack } from '../engine/changes/change-track.js'
import type { FromWorker } from './worker-message.js'

/** Changed keys on their way to the process of the migration: gathered, and sent before whatever is told next. */
export class WorkerTrack extends ChangeTrack {
  private readonly frozen: boolean
  private fresh: DirtyKey[] = []
  private told = { overflow: false, resynced: false }

  /** @param frozen changes are noted and not applied */
  constructor(frozen: boolean) {
    super()
    this.frozen = frozen
  }

  override addKeys(keys: readonly DirtyKey[]): void {
    // They are views into what is read over.
    for (const { db, key } of keys) this.fresh.push({ db, key: Buffer.from(key) })
  }

  /** What came since the last time; null = nothing. */
  take(): FromWorker | null {
    const { fresh, told, overflow, resynced, frozen } = this
    if (fresh.length === 0 && told.overflow === overflow && told.resynced === resynced) return null
    this.fresh = []
    this.told = { overflow, resynced }
    return { kind: 'changed', keys: fresh, overflow, resynced, frozen }
  }
}
