import { randomUUID } from 'node:crypto'
import type { RunClaim } from '@ferrite-migrate/contracts'
import type { RunFacts, StoredMigration } from '../state/run-facts.js'
import { RunLease } from '../state/run-lease.js'
import type { RunStore } from '../state/run-store.js'
import type { MigrationStatus } from '../state/status.js'
import type { RollbackReport } from './rollback.js'

const BEAT_MS = 3000

/** The time in which a rollback is the one that writes for a migration: nobody goes on with it meanwhile. */
export class RollbackTurn {
  readonly claim: RunClaim
  private readonly store: RunStore
  private readonly stored: StoredMigration
  private readonly lease: RunLease
  private readonly beat: NodeJS.Timeout
  private status: MigrationStatus
  private over = false

  /** @throws MigrateError FM_ID_TAKEN when another process runs it */
  constructor(store: RunStore, stored: StoredMigration) {
    this.store = store
    this.stored = stored
    const { id } = stored
    const owner = randomUUID()
    this.status = { ...stored.status, state: 'RUNNING', phase: 'ROLLING_BACK', updatedAt: Date.now() }
    const { plan } = store.details(id)
    const epoch = store.create({
      ...stored,
      owner,
      status: this.status,
      plan: plan ?? '',
    })
    this.claim = { epoch, owner, former: stored.owner }
    this.lease = new RunLease(id, owner, store)
    this.beat = setInterval(() => this.save(this.status), BEAT_MS)
    this.beat.unref()
  }

  /** Asked before each write. @throws MigrateError FM_RUN_TAKEN when another process writes for the migration now */
  check(): void {
    this.lease.check()
  }

  /** Everything is undone, but for what the report names; it joins what is kept of the migration's own report. */
  end(facts: RunFacts, rollback: RollbackReport): MigrationStatus {
    this.over = true
    const { report } = this.store.details(this.stored.id)
    if (report !== null)
      this.store.saveReport(this.stored.id, this.claim.owner, JSON.stringify({ ...JSON.parse(report), rollback }))
    this.store.setFacts(this.stored.id, this.claim.owner, facts)
    const status = { ...this.status, state: 'ROLLED_BACK', phase: 'ROLLED_BACK', updatedAt: Date.now() } as const
    this.save(status)
    return status
  }

  /** Where it did not come to its end it can be run again. */
  close(): void {
    clearInterval(this.beat)
    if (!this.over) this.save({ ...this.status, state: 'INTERRUPTED', phase: 'ROLLING_BACK', updatedAt: Date.now() })
  }

  private save(status: MigrationStatus): void {
    this.status = status
    try {
      this.store.save(this.stored.id, this.claim.owner, status)
    } catch {
      // A state that is busy for a moment is written by the next beat.
    }
  }
}
