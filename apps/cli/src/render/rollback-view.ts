import { formatCount, THICK, THIN } from '@ferrite-migrate/cli-kit'
import type { RollbackReport } from '@ferrite-migrate/core'

/** What a rollback did, or would do. */
export function rollbackLines(id: string, report: RollbackReport): string[] {
  const row = (name: string, value: number): string => `${`${name}:`.padEnd(19)}${formatCount(value)}`
  return [
    THICK,
    report.dryRun ? 'ROLLBACK (dry run)' : 'ROLLBACK REPORT',
    THICK,
    '',
    `${'Migration:'.padEnd(19)}${id}`,
    row('Keys removed', report.removed),
    row('Keys restored', report.restored),
    row('Already as before', report.unchanged),
    row('Left alone', report.kept),
    ...(report.failed > 0 ? [row('Failed', report.failed)] : []),
    ...(report.kept > 0
      ? [
          '',
          'LEFT ALONE: they are not what the source has now, so that somebody has written them since: at the target,',
          'or at the source, where writers still go there. If they did only there, --force undoes these too.',
          THIN,
          ...report.keptExamples,
        ]
      : []),
    '',
    report.interrupted
      ? 'RESULT: interrupted; run it again to go on'
      : report.dryRun
        ? 'RESULT: nothing was changed'
        : report.failed > 0
          ? 'RESULT: ❌ some keys could not be put back; run it again'
          : report.kept > 0
            ? `RESULT: ⚠️ ROLLED BACK, except ${report.kept === 1 ? '1 key that is' : `${formatCount(report.kept)} keys that are`} left alone`
            : 'RESULT: ✅ ROLLED BACK',
  ]
}
