import type { ChangeRecord, DirtyKey, Source } from '@ferrite-migrate/contracts'
import type { RecordFilter } from '../../records/key-filter.js'
import type { Progress } from '../progress/progress.js'

/** Whom to ask, which keys are wanted, and where is told what cannot be carried. */
export interface UnknownCommandsNeeds {
  readonly source: Pick<Source, 'keysOf'>
  readonly filter: RecordFilter
  readonly progress: Progress
}

/**
 * The keys of commands that are not known here, as the source tells them: they are read again. Without that a command is left
 * out, and told.
 */
export async function keysOfUnknown(
  { source, filter, progress }: UnknownCommandsNeeds,
  commands: readonly ChangeRecord[],
): Promise<DirtyKey[]> {
  const wanted: DirtyKey[] = []
  const found = (await source.keysOf?.(commands.map(({ argv }) => argv))) ?? []
  for (const [i, { name, db }] of commands.entries()) {
    const keys = found[i] ?? null
    if (keys === null) progress.leaveOut(`command ${name}`, null)
    else for (const key of keys) if (filter.takesKey(db, key)) wanted.push({ db, key })
  }
  return wanted
}
