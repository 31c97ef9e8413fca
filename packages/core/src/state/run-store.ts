import type { Pass, RunFacts, Sample, StoredDetails, StoredEvent, StoredMigration } from './run-facts.js'
import type { LeaseStore } from './run-lease.js'
import type { ChangeLedgerStore } from './settings-ledger.js'
import type { MigrationStatus } from './status.js'

/** A migration that starts or goes on, as it asks for its lease. */
export type NewRun = Omit<StoredMigration, 'heartbeatAt' | 'epoch' | 'pid'> & {
  /** As JSON. */
  readonly plan: string
}

/**
 * What outlives the process of a run, and the right to be the only one that runs it. The embedded store is a SQLite file; one
 * that several machines share answers from a copy that it renews, so that no call waits, and counts a lease that it could not
 * renew in time as lost.
 */
export interface RunStore extends ChangeLedgerStore, LeaseStore {
  /**
   * Writes the row of a migration and takes its lease; gives the epoch, which is one more than the last.
   * @throws MigrateError FM_ID_TAKEN while another process holds a lease that has not expired
   */
  create(run: NewRun): number
  /**
   * Takes `create` back, for a run that was refused after it: the row is what it was, or gone. Nothing happens when another process
   * has taken over.
   * @param former what `find` gave before; null = there was no row to go on with
   */
  withdraw(id: string, owner: string, former: StoredMigration | null): void
  /** Writes the status and renews the lease. False when another process has taken the migration over: nothing was written. */
  save(id: string, owner: string, status: MigrationStatus): boolean
  /** False when another process has taken the migration over; nothing was written then. */
  setFacts(id: string, owner: string, facts: RunFacts): boolean
  /** Nothing is written when another process has taken over. @param report as JSON */
  saveReport(id: string, owner: string, report: string): void
  /** Nothing is written when another process has taken over. @param metrics as JSON */
  saveMetrics(id: string, owner: string, metrics: string): void
  /** What was measured last, as JSON; '' = nothing yet. */
  metrics(id: string): string
  find(id: string): StoredMigration | undefined
  /** @throws MigrateError FM_ID_UNKNOWN */
  get(id: string): StoredMigration
  /** Newest first. */
  list(): StoredMigration[]
  details(id: string): StoredDetails
  savePosition(id: string, shard: string, position: string): void
  /** By shard. */
  positions(id: string): Map<string, string>
  forgetPositions(id: string): void
  addEvent(id: string, type: string, text: string, actor?: string): void
  events(id: string): StoredEvent[]
  addSample(id: string, sample: Sample): void
  thinSamples(id: string, before: number): void
  samples(id: string): Sample[]
  addPass(id: string, pass: Omit<Pass, 'number'>): Pass
  passes(id: string): Pass[]
  /** Forgets what a former migration of this name left, before a new one starts under it. */
  clear(id: string): void
  close(): void
}
