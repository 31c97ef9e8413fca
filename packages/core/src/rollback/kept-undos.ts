import type { DirtyKey } from '@ferrite-migrate/contracts'
import type { SharedJournal } from './shared-journal.js'
import { type Undo, UndoJournal } from './undo-journal.js'

/** The entries of an undo journal, as a rollback goes through them. */
export interface KeptUndos {
  count(): number
  /** All keys with what they were, in pages of one database each. Keys may be dropped while this runs. */
  pages(): Iterable<readonly Undo[]>
  /** These are as they were again. */
  drop(keys: readonly DirtyKey[]): void | Promise<void>
  close(): void
}

/**
 * The entries of a shared journal, in order: a copy of them in a file, which goes with `close`. What is dropped is dropped of the shared
 * one as well.
 * @throws MigrateError FM_STATE_DIR, FM_UNDO_FULL where the file cannot take them, and what the journal's server is away with
 */
export async function pulledUndos(shared: SharedJournal, directory: string, migration: string): Promise<KeptUndos> {
  // A former rollback that ended in between has left it.
  UndoJournal.remove(directory, migration)
  const copy = new UndoJournal(directory, migration, Number.POSITIVE_INFINITY)
  const close = (): void => {
    copy.close()
    UndoJournal.remove(directory, migration)
  }
  try {
    for await (const page of shared.entries()) copy.keep(page.filter(({ db, key }) => !copy.has(db, key)))
  } catch (error) {
    close()
    throw error
  }
  return {
    count: () => copy.count(),
    pages: () => copy.pages(),
    drop: async (keys) => {
      copy.drop(keys)
      await shared.drop(keys)
    },
    close,
  }
}
