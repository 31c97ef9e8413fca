import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChangeLedger, type Logger, MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import { Registry } from '../adapters/registry.js'
import { closeAdapter } from '../ends/close-adapter.js'
import { openEnds } from '../ends/open-ends.js'
import { SourceGuard } from '../ends/source-guard.js'
import type { ComparedPart } from '../engine/compared-part.js'
import { Engine } from '../engine/engine.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import { ErrorRate } from '../engine/lanes/error-rate.js'
import { Gate } from '../engine/lanes/gate.js'
import { Progress } from '../engine/progress/progress.js'
import { findForeign } from '../engine/target-content/find-foreign.js'
import { RecordFilter } from '../records/key-filter.js'
import { journaled, TargetRecorder } from '../rollback/journaled-target.js'
import { SharedEntries, type SharedJournal } from '../rollback/shared-journal.js'
import { UndoJournal } from '../rollback/undo-journal.js'
import { RunLease } from '../state/run-lease.js'
import { SettingsLedger } from '../state/settings-ledger.js'
import { StateStore } from '../state/state-store.js'
import { FaultFile } from '../transform/fault-file.js'
import { databases, openTransform } from '../transform/open-transform.js'
import { NO_TRANSFORM, type RecordTransform } from '../transform/record-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import { RunVerification } from '../verify/run-verification.js'
import type { ShardTask } from './shard-task.js'

/** Whom a worker tells, and when it ends. */
export interface WorkerRunNeeds {
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly stopping: AbortSignal
  tell(event: ShardEvent): void
  /** Who may write, and where changes of the source's settings are written down; absent = the state directory of the task tells. */
  readonly right?: WorkerRight
  /** Where it is kept what the target held before; absent = the directory of the task. */
  readonly journal?: SharedJournal
}

/** The right of a worker to write, where no state directory holds it. */
export interface WorkerRight {
  /** Asked before each batch. @throws MigrateError FM_RUN_TAKEN */
  check(): void
  readonly ledger: ChangeLedger
}

/** The shards of one task: both ends opened for them, run, and closed. */
export class WorkerRun {
  readonly progress = new Progress()
  readonly gate: Gate
  private readonly task: ShardTask
  private readonly needs: WorkerRunNeeds
  private readonly store: StateStore | null
  private readonly right: WorkerRight
  private readonly filter: RecordFilter
  private readonly faults: FaultFile
  private readonly tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  private transform: RecordTransform = NO_TRANSFORM
  private source: Source | null = null
  private target: Target | null = null
  private journal: UndoJournal | SharedEntries | null = null
  private recorder: TargetRecorder | null = null
  private guard: SourceGuard | null = null
  /** The package that the source is from. */
  private plugin = ''

  /** @throws MigrateError FM_STATE_DIR */
  constructor(task: ShardTask, needs: WorkerRunNeeds) {
    this.task = task
    this.needs = needs
    this.store = needs.right === undefined ? new StateStore(task.directory) : null
    this.right = needs.right ?? stateRight(task, this.store!)
    this.gate = new Gate(task.config.maxRate)
    this.filter = new RecordFilter(task.config.filter)
    this.faults = new FaultFile(task.config.errorsFile, task.migration)
    this.progress.tellUncarried()
    if (task.paused) this.gate.pause()
  }

  /** Both ends, once they are open. */
  get ends(): { readonly source: Source | null; readonly target: Target | null } {
    return { source: this.source, target: this.target }
  }

  /** The reader of the target. */
  reader(): ReturnType<Target['reader']> {
    return this.target!.reader()
  }

  /** @throws MigrateError when an end cannot be opened, or another process runs the migration by now */
  async open(): Promise<Engine> {
    const { task } = this
    const { migration, claim, config } = task
    this.right.check()
    const [source, target] = await this.connect()
    await target.claim?.(migration, claim)
    // Of a claim for one shard there may have been another before, whatever the task says.
    if (task.resumed !== null || claim.shard !== undefined) await target.takeOver?.(migration)
    const targetKeys = new TargetKeys(this.filter, this.transform)
    const journal = task.journal ? await this.openJournal() : null
    this.journal = journal
    if (journal !== null) this.recorder = new TargetRecorder(target, journal, targetKeys)
    const foreign = await findForeign({
      ...{ config, target, targetKeys, journal },
      targetWasEmpty: task.targetWasEmpty,
      // Of what all workers keep, others may have written some before this one begins.
      resumed: task.resumed !== null || journal instanceof SharedEntries,
      onNote: (type, text) => this.needs.tell({ kind: 'note', shard: task.shards[0], type, text }),
    })
    const { signal, stopping, logger, tell } = this.needs
    const { apply, lanes, onlyDb, targetWasEmpty, resumed } = task
    return new Engine({
      ...{ id: migration, config, apply, lanes, onlyDb, targetWasEmpty, foreign, targetKeys, signal, stopping, logger },
      ...{ filter: this.filter, transform: this.transform, progress: this.progress, gate: this.gate, tell },
      plugin: this.plugin,
      source,
      target: this.recorder === null ? target : journaled(target, this.recorder),
      resumed: resumed === null ? null : { ...resumed, positions: new Map(Object.entries(resumed.positions)) },
      errorRate: config.autoRollback ? new ErrorRate(config.rollbackOnErrorRate ?? 1) : null,
      wrote: (db, key) => journal?.has(db, key) ?? false,
      databases: null,
      admit: () => this.right.check(),
      pace: () => this.watch(source),
    })
  }

  /** Compares the keys of its shards once. @throws MigrateError FM_VERIFY_* */
  async compare(engine: Engine, signal: AbortSignal): Promise<ComparedPart> {
    const { config, shards, whole } = this.task
    if (whole === true)
      throw new MigrateError(
        'FM_VERIFY_UNSUPPORTED',
        'slots of the source move from shard to shard',
        'Whoever follows the migration compares all keys.',
      )
    const lags = await Promise.all(engine.lags().map(({ lag }) => lag))
    const slots = lags.reduce<number | null>(
      (sum, lag) => (lag?.slots === undefined ? sum : (sum ?? 0) + lag.slots),
      null,
    )
    const verification = new RunVerification({
      ...{ source: this.source!, target: this.target!, filter: this.filter, transform: this.transform },
      held: (db, key) => engine.holds(db, key),
      leftOut: (db, key) => this.progress.isLeftOut(db, key),
      comparesEnds: config.ttl === 'keep' && config.ttlFactor === 1,
      onProgress: () => undefined,
    })
    const part = await verification.withVerifier(1, signal, (verifier) =>
      verifier.part(shards, (db, key) => engine.owns(db, key)),
    )
    return { ...part, slots }
  }

  /** How long to rest before more of the snapshot is read, ms: a busy source is spared. */
  private watch(source: Source): number {
    if (this.guard === null) {
      const { maxSourceCpu, maxSourceLatencyMs } = this.task.config
      this.guard = new SourceGuard(source, maxSourceCpu / 100, maxSourceLatencyMs, (text) =>
        this.needs.tell({ kind: 'note', shard: this.task.shards[0], type: 'guard', text }),
      )
      this.guard.start()
    }
    return this.guard.pace()
  }

  async close(): Promise<void> {
    this.guard?.stop()
    await this.recorder?.close()
    if (this.journal instanceof UndoJournal) this.journal.close()
    this.faults.close()
    await this.transform.close()
    const { claim, migration } = this.task
    if (claim.shard !== undefined) await this.target?.release?.(migration).catch(() => undefined)
    await closeAdapter('source', this.source, this.needs.logger)
    await closeAdapter('target', this.target, this.needs.logger)
    this.store?.close()
    rmSync(this.tempDir, { recursive: true, force: true })
  }

  private async openJournal(): Promise<UndoJournal | SharedEntries> {
    const { directory, migration, config } = this.task
    const { journal } = this.needs
    if (journal === undefined) return new UndoJournal(directory, migration, config.undoLimit)
    const entries = new SharedEntries(journal)
    // Whose keys those are that are there already.
    await entries.refresh()
    return entries
  }

  private async connect(): Promise<readonly [Source, Target]> {
    const { migration, worker, config, plugins, byKeys, shards, whole } = this.task
    const registry = new Registry(plugins)
    const context = {
      logger: this.needs.logger,
      signal: this.needs.stopping,
      tempDir: this.tempDir,
      ...{ migration, worker },
      ...(whole === true ? {} : { shards }),
      ledger: this.right.ledger,
    }
    this.plugin = registry.pluginOf('source', config.source)
    const transform = await openTransform(config, registry, context, (fault) => {
      if (config.onTransformError === 'pass') this.progress.passOver(fault.key)
      else this.progress.leaveOut('value that could not be transformed', fault.key)
      this.faults.add(fault)
    })
    this.transform = transform.withDatabases(databases(config.dbMap))
    const ends = await openEnds(config, registry, context)
    if (!(ends.source instanceof Error)) this.source = ends.source
    if (!(ends.target instanceof Error)) this.target = ends.target
    if (ends.source instanceof Error) throw ends.source
    if (ends.target instanceof Error) throw ends.target
    if (byKeys && ends.source.byKeys !== undefined) {
      this.source = await ends.source.byKeys()
      await ends.source[Symbol.asyncDispose]()
    }
    const source = this.source ?? ends.source
    if (whole === true) return [source, ends.target]
    const others = source.shards.some(({ id }) => !shards.includes(id))
    if (others && source.capabilities.together) source.apart?.(shards)
    return [withShards(source, shards), ends.target]
  }
}

function stateRight({ migration, claim, config }: ShardTask, store: StateStore): WorkerRight {
  const lease = new RunLease(migration, claim.owner, store)
  return { check: () => lease.check(), ledger: new SettingsLedger(store, migration, claim.owner, config.source) }
}

/** A source of which only some shards are read. @throws MigrateError FM_SHARD_UNKNOWN when it has one of them no more */
function withShards(source: Source, names: readonly string[]): Source {
  const shards = names.map((name) => {
    const shard = source.shards.find(({ id }) => id === name)
    if (shard === undefined)
      throw new MigrateError(
        'FM_SHARD_UNKNOWN',
        `the source has no shard ${name} any more`,
        'Its topology has changed: go on with --resume.',
      )
    return shard
  })
  return new Proxy(source, {
    get(of, name) {
      if (name === 'shards') return shards
      // Shards that come are the migration's to hand out.
      if (name === 'watch') return undefined
      const value: unknown = Reflect.get(of, name, of)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
}
