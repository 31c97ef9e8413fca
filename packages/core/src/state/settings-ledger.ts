import { type ChangeLedger, type Loan, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { withoutPassword } from '../config/secrets.js'
import type { Loan as StoredLoan, StoredMigration } from './run-facts.js'

/** Owner of a loan that is to stay until somebody asks for it by name. */
export const KEPT = 'kept'

/** Where loans are written down, for all migrations. */
export interface ChangeLedgerStore {
  /** Writes down what is about to be changed at a server; gives the number of the entry. */
  addLoan(loan: Omit<StoredLoan, 'id' | 'at'>): number
  /** It is as before. */
  removeLoan(id: number): void
  /** Nobody puts it back by itself. */
  keepLoan(id: number): void
  /** What is still changed, oldest first: at one server, known by its address or who it is, or for one migration. */
  loans(where?: {
    readonly server?: string
    readonly identity?: string | undefined
    readonly migration?: string
  }): StoredLoan[]
  find(id: string): StoredMigration | undefined
}

/** What one run changes at the source for the moment, written into the state before it is changed. */
export class SettingsLedger implements ChangeLedger {
  private readonly store: ChangeLedgerStore
  private readonly migration: string
  private readonly owner: string
  private readonly server: string

  /** @param url of the source */
  constructor(store: ChangeLedgerStore, migration: string, owner: string, url: string) {
    this.store = store
    this.migration = migration
    this.owner = owner
    this.server = withoutPassword(url)
  }

  lend(what: string, former: string, identity = ''): Loan {
    const { store, migration, owner, server } = this
    let id: number
    try {
      id = store.addLoan({ migration, owner, server, what, former, identity })
    } catch (cause) {
      throw new MigrateError(
        'FM_STATE_DIR',
        `what is changed at the source cannot be written down: ${(cause as Error).message}`,
        'Make room for the state directory; nothing was changed.',
        { cause },
      )
    }
    return {
      settled: () => {
        try {
          store.removeLoan(id)
        } catch {
          // It is put back once more by the next run: the same values, which does no harm.
        }
      },
      keep: () => store.keepLoan(id),
    }
  }

  others(what: string, identity = ''): readonly { readonly migration: string; readonly former: string }[] {
    const { store, owner, server } = this
    return store
      .loans({ server, identity })
      .filter((loan) => loan.what === what && loan.owner !== owner)
      .map(({ migration, former }) => ({ migration, former }))
  }
}

/** Whoever changed it lives and puts it back by itself. */
function isHeld(owner: string, row: StoredMigration | undefined): boolean {
  return row !== undefined && row.owner === owner && row.status.state === 'RUNNING'
}

/**
 * Puts back what dead processes left changed at a server; gives it in words.
 * @param url of the server that `source` speaks to
 * @param only of one migration; also what was to stay until somebody asks for it
 * @throws whatever the source throws: what could not be put back stays written down
 */
export async function putBackLeft(
  store: ChangeLedgerStore,
  source: Pick<Source, 'putBack' | 'identity'>,
  url: string,
  only: { readonly migration?: string; readonly kept?: boolean } = {},
): Promise<string[]> {
  const done: string[] = []
  const loans = store.loans({
    server: withoutPassword(url),
    identity: source.identity,
    ...(only.migration === undefined ? {} : { migration: only.migration }),
  })
  for (const { id, migration, owner, what, former } of loans) {
    if (!only.kept && (owner === KEPT || isHeld(owner, store.find(migration)))) continue
    await source.putBack?.(what, former)
    store.removeLoan(id)
    done.push(
      `${what === 'acl' ? 'the rights of the users' : what} at the source, which the migration ${migration} had changed`,
    )
  }
  return done
}
