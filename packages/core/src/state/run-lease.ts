import { MigrateError } from '@ferrite-migrate/contracts'
import type { StoredLease } from './run-facts.js'

/** How long a look at the owner counts. */
const LOOK_MS = 2000

/** Where leases are held. */
export interface LeaseStore {
  lease(id: string): StoredLease | undefined
  /** False when another process holds it now. */
  renew(id: string, owner: string): boolean
}

/** Another process runs this migration now. */
function runTaken(id: string): MigrateError {
  return new MigrateError(
    'FM_RUN_TAKEN',
    `another process has taken the migration ${id} over, since this one stood still`,
    'Nothing more is written here; status shows the process that goes on.',
  )
}

/**
 * The right of one process to write for a migration. A process that stood still (stopped, swapped out, in a machine that
 * was paused) may have been replaced meanwhile; so before anything is written, it makes sure that it still is the owner.
 * Asked before each batch; looks only when the last look is long ago by either clock.
 */
export class RunLease {
  private readonly id: string
  private readonly owner: string
  private readonly store: LeaseStore
  private lost = false
  private looked = Number.NEGATIVE_INFINITY
  private lookedAt = 0

  /** @param store where the lease is held; throws when that cannot be read now */
  constructor(id: string, owner: string, store: LeaseStore) {
    this.id = id
    this.owner = owner
    this.store = store
  }

  /** @throws MigrateError FM_RUN_TAKEN */
  check(): void {
    if (this.lost) throw runTaken(this.id)
    const wall = Date.now()
    if (performance.now() - this.looked < LOOK_MS && Math.abs(wall - this.lookedAt) < LOOK_MS) return
    if (!this.isMine(wall)) this.lose()
    this.looked = performance.now()
    this.lookedAt = wall
  }

  /** The state says that another process is the owner. @throws MigrateError FM_RUN_TAKEN */
  lose(): never {
    this.lost = true
    throw runTaken(this.id)
  }

  get isLost(): boolean {
    return this.lost
  }

  private isMine(now: number): boolean {
    try {
      const lease = this.store.lease(this.id)
      if (lease === undefined) return true
      if (lease.owner !== this.owner) return false
      // Once it has expired anybody may take it, between this look and the next write: so it is renewed before that.
      return lease.expiresAt > now || this.store.renew(this.id, this.owner)
    } catch {
      // A state that cannot be read for a moment says nothing; the target asks for itself on each new connection.
      return true
    }
  }
}
