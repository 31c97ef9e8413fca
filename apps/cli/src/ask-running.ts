import { ExitCode, onSignals, type SharedState } from '@ferrite-migrate/cli-kit'
import { askRunning as ask, type RequestAnswer, type RequestKind, type RequestStep } from '@ferrite-migrate/core'

/** What is asked for beside its kind. */
export interface AskedFor {
  readonly args?: Readonly<Record<string, unknown>>
  /** Gets each step as it happens. */
  onStep?(step: RequestStep): void
  /** Has somebody follow a migration of a queue that nobody follows. */
  readonly follow?: SharedState['follow'] | undefined
}

/**
 * Asks a running migration for something and waits for the answer. Ctrl-C takes back what was
 * asked, as far as that is possible; a second one leaves.
 * @throws MigrateError FM_NOT_RUNNING, FM_INTERRUPTED, or the error that the migration answered
 */
export async function askRunning(
  directory: string,
  id: string,
  kind: RequestKind,
  { args = {}, onStep = () => undefined, follow }: AskedFor = {},
): Promise<RequestAnswer> {
  const stop = new AbortController()
  const release = onSignals(
    () => stop.abort(),
    () => process.exit(ExitCode.interrupted),
  )
  // Workers of a queue may run a migration that nobody follows: then this process does for the moment.
  const followed = (await follow?.(id, kind)) ?? null
  try {
    return await ask(directory, id, kind, args, { onStep, signal: stop.signal })
  } finally {
    await followed?.leave()
    release()
  }
}
