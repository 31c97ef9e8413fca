export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** Where an adapter says what it does. Never pass a secret. */
export interface Logger {
  log(level: LogLevel, text: string, fields?: Readonly<Record<string, string | number | boolean>>): void
  enabled(level: LogLevel): boolean
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
  /** A directory for temporary files, which the adapter cleans up. */
  readonly tempDir: string
}
