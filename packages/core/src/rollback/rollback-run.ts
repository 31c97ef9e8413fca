import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, MigrateError, type Source } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { MigrationConfig } from '../config/config.js'
import { ControlQueue } from '../control/control-queue.js'
import { openEnds } from '../ends/open-ends.js'
import { RecordFilter } from '../records/key-filter.js'
import { Notifier } from '../report/notifier.js'
import type { StoredMigration } from '../state/run-facts.js'
import { StateStore } from '../state/state-store.js'
import { ranConfig } from '../state/stored-config.js'
import { databases, openTransform } from '../transform/open-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import { type KeptUndos, pulledUndos } from './kept-undos.js'
import { Rollback, type RollbackReport } from './rollback.js'
import { RollbackTurn } from './rollback-turn.js'
import type { SharedJournal } from './shared-journal.js'
import { UndoJournal } from './undo-journal.js'

export interface RollbackRequest {
  readonly id: string
  readonly stateDir: string
  readonly registry: Registry
  readonly logger: Logger
  /** Passwords and options that are not stored. */
  readonly given: Partial<MigrationConfig>
  readonly force: boolean
  readonly dryRun: boolean
  readonly signal: AbortSignal
  /** What the target held before, where a queue keeps it; absent = what this machine has. */
  readonly journal?: SharedJournal
  /** @param total null = unknown */
  onProgress?(keys: number, total: number | null): void
  onNote?(text: string): void
}

const STOPPED_WITHIN_MS = 60_000
const OPEN_MS = 10_000

/**
 * Rolls a stored migration back: stops it where it still runs, undoes it, and marks it ROLLED_BACK.
 * @throws MigrateError FM_ID_UNKNOWN, FM_ROLLBACK_*, FM_RESUME_PASSWORD
 */
export async function rollBack(request: RollbackRequest): Promise<RollbackReport> {
  const { id, stateDir, dryRun } = request
  const store = new StateStore(stateDir)
  try {
    let stored = store.get(id)
    // What was left alone can still be forced, from the journal that was kept for it.
    const kept = (stored.facts.rollbackKept ?? 0) > 0 || (await hasJournal(request))
    if (stored.status.state === 'ROLLED_BACK' && !(request.force && kept)) throw doneAlready(id, request.force)
    if (stored.status.state === 'RUNNING') {
      if (dryRun)
        throw new MigrateError(
          'FM_ROLLBACK_RUNNING',
          `the migration ${id} is running as process ${stored.pid}`,
          'Stop it first; a rollback that is no dry run does that by itself.',
        )
      stored = await stopRunning(store, stored, request)
    }
    return await undo(store, stored, request)
  } finally {
    store.close()
  }
}

async function stopRunning(
  store: StateStore,
  stored: StoredMigration,
  { stateDir, onNote }: RollbackRequest,
): Promise<StoredMigration> {
  onNote?.(`stopping the migration, which runs as process ${stored.pid}`)
  const control = new ControlQueue(stateDir)
  try {
    control.ask(stored.id, 'stop')
    const deadline = Date.now() + STOPPED_WITHIN_MS
    for (;;) {
      const now = store.get(stored.id)
      if (now.status.state !== 'RUNNING') return now
      if (Date.now() > deadline)
        throw new MigrateError(
          'FM_ROLLBACK_RUNNING',
          `the process ${stored.pid} does not stop`,
          'End it by hand, then roll back again.',
        )
      await sleep(100)
    }
  } finally {
    control.close()
  }
}

function doneAlready(id: string, force: boolean): MigrateError {
  return new MigrateError(
    'FM_ROLLBACK_DONE',
    `the migration ${id} is rolled back already`,
    force
      ? 'Nothing of it is left.'
      : 'What it left alone others may have written since: --force gives that back as well.',
  )
}

async function undo(store: StateStore, stored: StoredMigration, request: RollbackRequest): Promise<RollbackReport> {
  const { id, registry, logger, force, dryRun, signal } = request
  const { facts } = stored
  const isKept = await hasJournal(request)
  // Another one may have been quicker.
  if (facts.journal && !isKept && store.get(id).status.state === 'ROLLED_BACK') throw doneAlready(id, force)
  if (!facts.targetWasEmpty && facts.journal && !isKept && request.journal !== undefined) throw lostJournal()
  if (!facts.targetWasEmpty && (!facts.journal || !isKept))
    throw new MigrateError(
      'FM_ROLLBACK_NO_JOURNAL',
      'the target held keys before, and no undo journal was kept (--no-undo)',
      'Keys that were overwritten cannot be given back; keys that were created cannot be told from others. Use a backup of the target.',
    )
  const config = ranConfig(stored, request.given)
  const tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  const context = { logger, signal, tempDir, migration: id }
  let source: Source | null = null
  const rules = await openTransform({ ...config, onTransformError: 'skip' }, registry, context)
  const transform = rules.withDatabases(databases(config.dbMap))
  const journal = facts.targetWasEmpty ? null : await openJournal(request, config.undoLimit)
  let turn: RollbackTurn | null = null
  try {
    const ends = await openEnds({ ...config, syncTimeoutMs: OPEN_MS }, registry, context)
    if (!(ends.source instanceof Error)) source = ends.source
    if (ends.target instanceof Error) throw ends.target
    await using target = ends.target
    if (ends.source instanceof Error && !force) throw blind(ends.source)
    const reader = source?.reader?.() ?? null
    const handedOver = wasHandedOver(store, stored)
    if (!dryRun) {
      turn = new RollbackTurn(store, stored)
      await target.claim?.(id, turn.claim)
      store.addEvent(id, 'rollback', `rolling back${force ? ', also what others may have written' : ''}`)
    }
    // After the claim: who is ended here finds another owner when it comes back.
    await target.takeOver?.(id)
    if (turn !== null) {
      // Whoever goes on after this one was cut short has to look at every key again.
      for (const shard of [...store.positions(id).keys(), ...(source?.shards ?? []).map((one) => one.id)])
        await target.forget(id, shard)
      store.forgetPositions(id)
    }
    try {
      const report = await new Rollback({
        target,
        source: reader,
        journal,
        keys: new TargetKeys(new RecordFilter(config.filter), transform),
        transform,
        // A rollback that was interrupted goes on as it began.
        completed: handedOver,
        force,
        dryRun,
        signal,
        admit: () => turn?.check(),
        ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
      }).run()
      if (turn === null || report.interrupted) return report
      turn.check()
      await target.release?.(id)
      const status = turn.end({ ...facts, rollbackKept: report.kept }, report)
      store.addEvent(id, 'phase', 'ROLLED_BACK')
      store.addEvent(
        id,
        'rolled-back',
        `${report.removed} keys removed, ${report.restored} restored, ${report.kept} left alone`,
      )
      if (report.kept === 0 && report.failed === 0) await removeJournal(request)
      const notifier = new Notifier(config.notifications, logger)
      notifier.send('rolled-back', `rolled back: ${report.removed} keys removed, ${report.restored} restored`, status)
      await notifier.flush()
      return report
    } finally {
      await reader?.close()
    }
  } catch (error) {
    // Who took over also ended the connections: that is what has to be told.
    turn?.check()
    throw error
  } finally {
    turn?.close()
    journal?.close()
    await transform.close()
    await source?.[Symbol.asyncDispose]()
    rmSync(tempDir, { recursive: true, force: true })
  }
}

async function hasJournal({ journal, stateDir, id }: RollbackRequest): Promise<boolean> {
  return journal === undefined ? UndoJournal.exists(stateDir, id) : journal.exists()
}

async function openJournal({ journal, stateDir, id }: RollbackRequest, limit: number): Promise<KeptUndos> {
  return journal === undefined ? new UndoJournal(stateDir, id, limit) : pulledUndos(journal, stateDir, id)
}

async function removeJournal({ journal, stateDir, id }: RollbackRequest): Promise<void> {
  if (journal === undefined) UndoJournal.remove(stateDir, id)
  else await journal.remove()
}

function lostJournal(): MigrateError {
  return new MigrateError(
    'FM_ROLLBACK_NO_JOURNAL',
    'the undo journal was kept by the server of the queue, and it has it no more',
    'Keys that were overwritten cannot be given back; keys that were created cannot be told from others. Use a backup of the target.',
  )
}

/**
 * Whether anybody but the migration had a reason to write at the target: after a cutover, or when a copy was finished. A
 * live run that ended by itself (--exit) has handed nothing over.
 */
function wasHandedOver(store: StateStore, { id, mode, facts }: StoredMigration): boolean {
  if (facts.handedOver) return true
  return mode !== 'live' && store.events(id).some(({ type, text }) => type === 'phase' && text === 'COMPLETED')
}

function blind(cause: unknown): MigrateError {
  return new MigrateError(
    'FM_ROLLBACK_BLIND',
    `the source cannot be asked, so nobody can tell which keys others have written since (${(cause as Error).message})`,
    'Make the source reachable, or undo everything with --force.',
    { cause },
  )
}
