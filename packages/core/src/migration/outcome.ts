import { counted } from '@ferrite-migrate/contracts'
import type { RollbackReport } from '../rollback/rollback.js'
import type { MigrationStatus } from '../state/status.js'
import type { VerifyReport } from '../verify/verify-report.js'

/** How a migration ended, in a few words, and whether that is good. */
export function outcome(
  status: MigrationStatus,
  verification: VerifyReport | null,
  rollback: RollbackReport | null,
): ['good' | 'bad' | 'warn', string] {
  const { state } = status
  if (state === 'ROLLED_BACK' && rollback !== null && rollback.kept > 0)
    return ['warn', `ROLLED BACK, except ${counted(rollback.kept, 'key')} left alone`]
  if (state !== 'COMPLETED') return [state === 'FAILED' ? 'bad' : 'warn', state.replace('_', ' ')]
  if (verification === null) return ['warn', 'COMPLETED, not verified']
  if (!verification.complete || verification.nothing)
    return ['warn', 'COMPLETED, the verification did not come to an end']
  return verification.equal ? ['good', 'COMPLETED, VERIFIED'] : ['bad', 'COMPLETED, WITH DIFFERENCES']
}
