import type { Target } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../../config/config.js'
import type { TargetKeys } from '../../transform/target-keys.js'
import { ForeignKeys } from './foreign-keys.js'

/** The target as the migration found it. */
export interface FindForeignNeeds {
  readonly config: Pick<ResolvedConfig, 'onConflict' | 'mode'>
  readonly target: Target
  readonly targetKeys: TargetKeys
  readonly targetWasEmpty: boolean
  /** A former process has written already. */
  readonly resumed: boolean
  /** What the target held before; null = nothing is kept. */
  readonly journal: { has(db: number, key: Buffer): boolean; created(db: number, key: Buffer): boolean } | null
  onNote(type: string, text: string): void
}

/** What the target had before, where that matters: for a copy that replaces, nothing builds upon what was there. */
export async function findForeign(needs: FindForeignNeeds): Promise<ForeignKeys | null> {
  const { config, target, targetKeys, targetWasEmpty, resumed, journal, onNote } = needs
  const { onConflict, mode } = config
  if (targetWasEmpty || (mode === 'snapshot' && (onConflict === 'replace' || !resumed))) return null
  if (resumed && journal === null) {
    onNote('foreign', 'without the undo journal nobody can tell which keys of the target are not of this migration')
    return null
  }
  return ForeignKeys.find({
    target,
    targetKeys,
    policy: onConflict,
    // What is only looked at because it might be replaced has an entry as well.
    wrote: (db, key) =>
      resumed && ((onConflict === 'replace' ? journal?.has(db, key) : journal?.created(db, key)) ?? false),
  })
}
