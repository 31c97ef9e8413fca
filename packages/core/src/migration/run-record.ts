import { randomUUID } from 'node:crypto'
import {
  type ChangeLedger,
  type Logger,
  MigrateError,
  type Position,
  type RunClaim,
  type Source,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import { hasSecret, redactUrl } from '../config/secrets.js'
import type { Plan } from '../ends/plan.js'
import type { Progress } from '../engine/progress/progress.js'
import { type KeptUndos, pulledUndos } from '../rollback/kept-undos.js'
import { SharedEntries, type SharedJournal } from '../rollback/shared-journal.js'
import { UndoJournal } from '../rollback/undo-journal.js'
import type { Pass, RunFacts, StoredMigration } from '../state/run-facts.js'
import { RunLease } from '../state/run-lease.js'
import type { RunStore } from '../state/run-store.js'
import { putBackLeft, SettingsLedger } from '../state/settings-ledger.js'
import type { MigrationStatus, Phase } from '../state/status.js'
import { storableConfig } from '../state/stored-config.js'
import { transformFingerprint } from '../transform/open-transform.js'

/** Samples between two thinnings. */
const THINNED_EVERY = 3600
const SAMPLE_MS = 1000

/** What a run writes down for other processes and for the run that goes on with it: its row, facts and undo journal. */
export class RunRecord {
  readonly id: string
  /** The interrupted run that this one goes on with. */
  readonly former: StoredMigration | null
  private readonly config: ResolvedConfig
  private readonly directory: string
  private readonly logger: Logger
  private readonly store: RunStore
  private known: RunFacts = {}
  private undo: UndoJournal | null = null
  private shared: SharedJournal | null = null
  private samples = 0
  /** Facts that are not written down yet. */
  private untold = false
  /** No two processes are called the same, whatever their pid. */
  private readonly owner = randomUUID()
  readonly lease: RunLease

  /**
   * @param directory where the undo journal lies
   * @param store is closed with the record
   * @throws MigrateError FM_STATE_DIR, FM_ID_UNKNOWN, FM_RESUME_OVER, FM_RESUME_MISMATCH
   */
  constructor(id: string, config: ResolvedConfig, directory: string, store: RunStore, logger: Logger) {
    this.id = id
    this.config = config
    this.directory = directory
    this.logger = logger
    this.store = store
    this.lease = new RunLease(id, this.owner, this.store)
    try {
      this.former = formerRun(config, config.resume ? this.store.get(id) : this.store.find(id))
      if (this.former === null && UndoJournal.exists(directory, id)) throw wayBackLost(id)
    } catch (error) {
      this.store.close()
      throw error
    }
  }

  /** Where adapters write down what they change at the source. */
  ledger(): ChangeLedger {
    return new SettingsLedger(this.store, this.id, this.owner, this.config.source)
  }

  /** Puts back what dead processes left changed at the source; gives it in words. */
  putBack(source: Source): Promise<string[]> {
    return putBackLeft(this.store, source, this.config.source)
  }

  get facts(): RunFacts {
    return this.known
  }

  /** What the target held before; null = it was empty, or nothing is kept. */
  get journal(): UndoJournal | null {
    return this.undo
  }

  /** What the target held before can be given back. */
  get isJournaled(): boolean {
    return this.undo !== null || this.shared !== null
  }

  /**
   * What the target held before is kept there, by all machines. Call it after `learnFacts`.
   * @throws MigrateError FM_ID_TAKEN, FM_ROLLBACK_NO_JOURNAL when it is lost
   */
  async share(journal: SharedJournal): Promise<void> {
    const exists = await journal.exists()
    const isKept = this.known.journal === true && this.config.undo
    if (this.former === null && exists) throw wayBackLost(this.id)
    if (this.former !== null && isKept && !exists)
      throw new MigrateError(
        'FM_ROLLBACK_NO_JOURNAL',
        'the server of the queue has the undo journal of this migration no more',
        'Go on without a way back: --no-undo.',
      )
    if (isKept) this.shared = journal
  }

  /** Once the target has taken the run: a journal that nobody needs would be in the way of the next run of this name. */
  async beginShared(): Promise<void> {
    if (this.former === null) await this.shared?.begin()
  }

  /** Which keys have entries in the journal by now; null = nothing is kept. */
  async journaled(): Promise<Pick<UndoJournal, 'has'> | null> {
    if (this.shared === null) {
      // Other processes have kept entries as well.
      if (this.config.workers > 0) this.undo?.refresh()
      return this.undo
    }
    const entries = new SharedEntries(this.shared)
    await entries.refresh()
    return entries
  }

  /** All that the journal holds; null = nothing is kept. Close it. */
  async undos(): Promise<KeptUndos | null> {
    if (this.shared !== null) return pulledUndos(this.shared, this.directory, this.id)
    const { undo } = this
    return undo && { count: () => undo.count(), pages: () => undo.pages(), drop: (keys) => undo.drop(keys), close() {} }
  }

  /**
   * Takes over what the former run found out, or finds it out.
   * @throws MigrateError FM_RESUME_TRANSFORM
   */
  async learnFacts(targetIsEmpty: () => Promise<boolean>): Promise<void> {
    const { config, former } = this
    const fingerprint = transformFingerprint(config)
    if (former !== null) {
      if (former.facts.transform !== fingerprint)
        throw new MigrateError(
          'FM_RESUME_TRANSFORM',
          'the transform file or script is not the one that the migration began with',
          'Give the same one, or start anew under another --id: what is at the target was made by the former.',
        )
      this.known = former.facts
      return
    }
    const targetWasEmpty = await targetIsEmpty()
    this.known = {
      targetWasEmpty,
      journal: config.undo && !targetWasEmpty,
      // Of worker processes nobody hears of a new one in time.
      ...(config.workers > 0 || config.queue !== undefined ? {} : { readDatabases: [] }),
      sourceSecret: hasSecret(config.source, config.sourceOptions),
      targetSecret: hasSecret(config.target, config.targetOptions),
      ...(fingerprint === undefined ? {} : { transform: fingerprint }),
    }
  }

  /** Completed by what the addresses name; call before `enroll`. */
  noteDatabases(dbs: readonly number[], map: Readonly<Record<string, number>>): void {
    this.known = { ...this.known, databases: { dbs, map } }
  }

  /**
   * Writes the row, and opens the undo journal where one is kept. Gives who writes from now on.
   * @throws MigrateError FM_ID_TAKEN, FM_STATE_DIR
   */
  enroll(plan: Plan, createdAt: number, status: MigrationStatus): RunClaim {
    const { id, config, store } = this
    const epoch = store.create({
      id,
      owner: this.owner,
      createdAt,
      source: plan.source,
      target: plan.target,
      mode: config.mode,
      status,
      plan: JSON.stringify(plan),
      config: storableConfig(config),
      facts: this.known,
    })
    if (this.former === null) {
      store.clear(id)
      UndoJournal.remove(this.directory, id)
    }
    if (this.known.journal && !config.undo) this.addFacts({ journal: false })
    else if (this.known.journal && this.shared === null)
      this.undo = new UndoJournal(this.directory, id, config.undoLimit)
    return { epoch, owner: this.owner, former: this.former?.owner ?? null }
  }

  /** Takes `enroll` back: the target has refused the run, and nothing of it has happened. */
  withdraw(): void {
    this.undo?.close()
    this.undo = null
    if (this.former === null) UndoJournal.remove(this.directory, this.id)
    this.attempt(() => this.store.withdraw(this.id, this.owner, this.former))
  }

  /** @throws MigrateError FM_STATE_DIR */
  addFacts(facts: RunFacts): void {
    this.known = { ...this.known, ...facts }
    if (!this.insist(() => this.store.setFacts(this.id, this.owner, this.known))) this.lease.lose()
  }

  /** Something of the source came from one more database; a state that is busy now is told with the next status. */
  noteReadDatabases(readDatabases: readonly number[]): void {
    this.known = { ...this.known, readDatabases }
    this.untold = true
    this.tellFacts()
  }

  private tellFacts(): void {
    if (!this.untold) return
    this.attempt(() => {
      if (!this.store.setFacts(this.id, this.owner, this.known)) this.lease.lose()
      this.untold = false
    })
  }

  /** Where the former run was, by shard. */
  positions(): Map<string, Position> {
    return this.store.positions(this.id)
  }

  event(type: string, text: string, actor?: string): void {
    if (this.lease.isLost) return
    this.attempt(() => this.store.addEvent(this.id, type, text, actor))
  }

  /** @throws MigrateError FM_STATE_DIR */
  addPass(pass: Omit<Pass, 'number'>): Pass {
    return this.insist(() => this.store.addPass(this.id, pass))
  }

  /** One point of the curves; call it once a second. */
  sample(phase: Phase, progress: Progress): void {
    if (this.lease.isLost) return
    const at = Date.now()
    const { keysDone: keys, changesApplied: changes, rate, lag } = progress
    const lags = { lagKeys: lag.keys ?? null, lagBytes: lag.bytes ?? null, lagMs: lag.ms ?? null }
    this.attempt(() => {
      this.store.addSample(this.id, { at, phase, keys, changes, rate, ...lags })
      if (++this.samples % THINNED_EVERY === 0) this.store.thinSamples(this.id, at - THINNED_EVERY * SAMPLE_MS)
    })
  }

  /** @throws MigrateError FM_RUN_TAKEN when another process has taken over */
  save(status: MigrationStatus, positions: ReadonlyMap<string, Position>): void {
    if (this.lease.isLost) return
    this.tellFacts()
    this.attempt(() => {
      if (!this.store.save(this.id, this.owner, status)) this.lease.lose()
      for (const [shard, position] of positions) this.store.savePosition(this.id, shard, position)
    })
  }

  /** @param report as JSON */
  keepReport(report: string): void {
    if (this.lease.isLost) return
    this.attempt(() => this.store.saveReport(this.id, this.owner, report))
  }

  /** @param metrics as JSON */
  keepMetrics(metrics: string): void {
    if (this.lease.isLost) return
    this.attempt(() => this.store.saveMetrics(this.id, this.owner, metrics))
  }

  /** A busy or full disk under the state must not stop the data. */
  private attempt(write: () => void): void {
    try {
      write()
    } catch (error) {
      if (this.lease.isLost) throw error
      this.logger.log('warn', `the state could not be saved: ${(error as Error).message}`)
    }
  }

  /** What a later run could not do without: this one had better end. */
  private insist<T>(write: () => T): T {
    try {
      return write()
    } catch (cause) {
      throw new MigrateError(
        'FM_STATE_DIR',
        `the state in ${this.directory} cannot be written: ${(cause as Error).message}`,
        'Make room for it and go on with --resume.',
        { cause },
      )
    }
  }

  /**
   * The target is what it was before: nobody can go on from there.
   * @throws MigrateError FM_STATE_DIR
   */
  forgetPositions(): void {
    this.insist(() => this.store.forgetPositions(this.id))
  }

  /** Everything in the journal was put back. */
  async removeJournal(): Promise<void> {
    await this.shared?.remove()
    this.shared = null
    if (this.undo === null) return
    this.undo.close()
    this.undo = null
    UndoJournal.remove(this.directory, this.id)
  }

  close(): void {
    this.undo?.close()
    this.undo = null
    this.store.close()
  }
}

function wayBackLost(id: string): MigrateError {
  return new MigrateError(
    'FM_ID_TAKEN',
    `a migration ${id} is over, and its way back would be lost`,
    `Choose another --id, or leave it out; rollback --id ${id} takes the former one back, with --force also what others have written since.`,
  )
}

function formerRun(config: ResolvedConfig, stored: StoredMigration | undefined): StoredMigration | null {
  if (stored === undefined) return null
  const { resume, mode } = config
  const { id } = stored
  const { state } = stored.status
  if (state === 'RUNNING') return stored
  const over = state === 'ROLLED_BACK' || (state === 'COMPLETED' && !(mode === 'incremental' && stored.mode === mode))
  if (over) {
    if (!resume) return null
    throw new MigrateError(
      'FM_RESUME_OVER',
      `the migration ${id} is ${state}`,
      'There is nothing to go on with: start a new one.',
    )
  }
  if (stored.source !== redactUrl(config.source) || stored.target !== redactUrl(config.target))
    throw new MigrateError(
      'FM_RESUME_MISMATCH',
      `the migration ${id} was from ${stored.source} to ${stored.target}`,
      'Give the same source and target, or another --id.',
    )
  return stored
}
