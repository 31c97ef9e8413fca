import type { Source, Target } from '@ferrite-migrate/contracts'
import type { RecordTransform } from '../transform/record-transform.js'
import type { TargetKeys } from '../transform/target-keys.js'
import type { KeptUndos } from './kept-undos.js'
import { Rollback, type RollbackReport } from './rollback.js'

export interface FailedRun {
  readonly id: string
  readonly source: Source | null
  readonly target: Target
  readonly journal: KeptUndos | null
  readonly targetWasEmpty: boolean
  readonly keys: TargetKeys
  readonly transform: RecordTransform
  onNote(type: string, text: string): void
}

/** Puts the target back after a run that failed; null when that was not possible, with a note that says why. */
export async function rollBackFailed(run: FailedRun): Promise<RollbackReport | null> {
  const { id, source, target, journal, onNote } = run
  if (!run.targetWasEmpty && journal === null) {
    onNote('rollback-impossible', 'there is no undo journal, so the target cannot be put back')
    return null
  }
  const reader = source?.reader?.() ?? null
  try {
    await target.reconnect?.()
    await target.takeOver?.(id)
    const report = await new Rollback({
      target,
      source: reader,
      journal,
      keys: run.keys,
      transform: run.transform,
      completed: false,
      force: false,
      dryRun: false,
      signal: new AbortController().signal,
    }).run()
    for (const shard of source?.shards ?? []) await target.forget(id, shard.id)
    await target.release?.(id)
    onNote(
      'rolled-back',
      `${report.removed} keys removed, ${report.restored} restored, ${report.kept} left because others may have written them${report.failed === 0 ? '' : `, ${report.failed} refused by the target: ferrite-migrate rollback --id ${id} --force tries them again`}`,
    )
    return report
  } catch (failure) {
    onNote(
      'rollback-failed',
      `the rollback failed: ${(failure as Error).message}; run ferrite-migrate rollback --id ${id}`,
    )
    return null
  } finally {
    await reader?.close()
  }
}
