export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** Where an adapter says what it does. Never pass a secret. */
export interface Logger {
  log(level: LogLevel, text: string, fields?: Readonly<Record<string, string | number | boolean>>): void
  enabled(level: LogLevel): boolean
}

/** One thing that is changed at a server for the moment. */
export interface Loan {
  /** It is as before: nobody has to put it back any more. */
  settled(): void
  /** It is to stay until somebody asks for it by name. */
  keep(): void
}

/**
 * Writes down what an adapter changes at a server for the moment, before it does, so that a later process can put it back
 * when this one dies. Never pass a secret.
 */
export interface ChangeLedger {
  /**
   * Durable when it returns.
   * @param what a name that the adapter's `putBack` knows
   * @param former what was there before, in a form that `putBack` reads
   * @param server who the server is, whatever its address (Source.identity)
   * @throws MigrateError FM_STATE_DIR when it cannot be written down: then nothing may be changed
   */
  lend(what: string, former: string, server?: string): Loan
  /** What others have changed of this at the server and not yet put back: how it was before them, oldest first. */
  others(what: string, server?: string): readonly { readonly migration: string; readonly former: string }[]
}

/** What an adapter gets to start with. */
export interface AdapterContext {
  /** The endpoint as given, credentials included. */
  readonly url: string
  /** Options by manifest name, already checked and converted. */
  readonly options: Readonly<Record<string, string | number | boolean>>
  readonly logger: Logger
  readonly signal: AbortSignal
  /** For transforms: nothing is asked of a batch after its first fault, because that ends everything. */
  readonly firstFaultEnds?: boolean
  /** Name of the migration, where there is one. */
  readonly migration?: string
  /**
   * Name of the process, where several share one migration: connections and values under construction of one must not be taken
   * for those of another, which may have died.
   */
  readonly worker?: string
  /**
   * For sources: the only shards that this process reads, where others read the rest; absent = all. Other shards need not be looked at,
   * nor be in `shards`: one of many processes must not depend on what is not its own.
   */
  readonly shards?: readonly string[]
  /** Where changes of a server's settings are written down; absent where nothing is changed. */
  readonly ledger?: ChangeLedger
  /** A directory for temporary files, which the adapter cleans up. */
  readonly tempDir: string
}
