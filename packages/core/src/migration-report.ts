import type { CutoverResult } from './cutover.js'
import type { Plan } from './plan.js'
import type { RollbackReport } from './rollback.js'
import type { MigrationStatus } from './status.js'
import type { VerifyReport } from './verifier.js'

/** What a finished run leaves; printed at its end and stable under --json. */
export interface MigrationReport {
  readonly status: MigrationStatus
  readonly plan: Plan
  readonly notCarried: readonly {
    readonly what: string
    readonly count: number
    readonly examples: readonly string[]
  }[]
  readonly failures: readonly { readonly db: number; readonly key: string; readonly reason: string }[]
  readonly verification: VerifyReport | null
  /** Changes that were applied after it; null = there was none. */
  readonly changesSinceVerification: number | null
  readonly cutover: CutoverResult | null
  readonly rollback: RollbackReport | null
  readonly notes: readonly { readonly type: string; readonly text: string }[]
}
