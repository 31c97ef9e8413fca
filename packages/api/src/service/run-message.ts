import type { ToldError } from '@ferrite-migrate/contracts'
import type { FoundPlugin, MigrationConfig, Plan } from '@ferrite-migrate/core'

/** What a process that runs one migration needs to know; it comes over its channel, never in a file or an argument. */
export interface RunTask {
  readonly config: MigrationConfig
  readonly plugins: readonly FoundPlugin[]
  /** Only says what would be done. */
  readonly dryRun: boolean
  /** It goes on when whoever began it is gone. */
  readonly detach: boolean
}

/** To the process of a run. */
export type ToRun = { readonly kind: 'run'; readonly task: RunTask } | { readonly kind: 'detach' }

/** From the process of a run. */
export type FromRun =
  | { readonly kind: 'planned'; readonly plan: Plan }
  /** It has its row: everything else is told by the state. */
  | { readonly kind: 'began'; readonly id: string }
  | { readonly kind: 'over'; readonly fault: ToldError | null }
