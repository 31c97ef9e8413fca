import { counted } from '@ferrite-migrate/contracts'
import {
  applyText,
  captureText,
  type MigrationReport,
  type MigrationStatus,
  type VerifyReport,
} from '@ferrite-migrate/core'
import { partLines } from './comparison-view.js'
import { formatBytes, formatCount, formatDuration, THICK, THIN } from './format.js'
import { readsFile } from './phase-text.js'
import { changesText } from './status-view.js'

/** The verification report, laid out as on the product page. */
export function verificationLines(report: VerifyReport): string[] {
  const percent = report.compared === 0 ? 100 : (report.matching / report.compared) * 100
  const row = (name: string, value: string): string => `${`${name}:`.padEnd(18)}${value}`
  return [
    THICK,
    'VERIFICATION REPORT',
    THICK,
    '',
    'SUMMARY',
    THIN,
    row('Keys compared', formatCount(report.compared)),
    row('At', new Date(report.at).toISOString().replace('T', ' ').slice(0, 19).concat(' UTC')),
    row(
      'Matching',
      `${formatCount(report.matching)} (${percent === 100 || percent === 0 ? percent : percent.toFixed(2)}%)`,
    ),
    row('Mismatched', formatCount(report.mismatched)),
    row('Missing source', formatCount(report.missingSource)),
    row('Missing target', formatCount(report.missingTarget)),
    ...(report.leftOut > 0
      ? [row('Left out', `${formatCount(report.leftOut)} (by a rule or script; not compared)`)]
      : []),
    ...(report.foreign > 0
      ? [row('Only at target', `${formatCount(report.foreign)} (there before; --strict counts them)`)]
      : []),
    ...(report.differences.length > 0 ? ['', 'DIFFERENCES', THIN] : []),
    ...report.differences
      .slice(0, 20)
      .flatMap((one) => [
        `${one.kind}: ${one.key} (db ${one.db}): ${one.detail}`,
        ...partLines(one.parts ?? [], one.partCount ?? 0, 3, process.stdout.columns ?? 120),
      ]),
    ...(report.differences.length > 20
      ? [
          `… and ${formatCount(report.mismatched + report.missingSource + report.missingTarget - 20)} more; --json gives up to 1,000`,
        ]
      : []),
    '',
    `RESULT: ${verdict(report)}`,
  ]
}

/** A verdict is only given over what was looked at. */
function verdict(report: VerifyReport): string {
  if (!report.complete) return '⚠ NOT FINISHED: it was interrupted before everything was compared'
  if (report.nothing)
    return '⚠ NOTHING WAS COMPARED: the source has keys, and the filter or database takes none of them'
  if (!report.equal) return '❌ DIFFERENCES FOUND'
  if (report.compared === 0 && report.leftOut === 0) return '✅ VERIFIED (both are empty: nothing was compared)'
  return report.leftOut > 0 ? `✅ VERIFIED, but for ${formatCount(report.leftOut)} left out` : '✅ VERIFIED'
}

/** How it came from one end to the other; a snapshot follows nothing. */
function howText(status: MigrationStatus): string {
  const capture = captureText(status.capture)
  if (readsFile(status) || status.mode === 'snapshot')
    return status.capture === 'psync' ? 'a snapshot by replication' : capture
  return `${capture}, ${applyText(status.apply)}`
}

/** Where nothing tells how many bytes a source has, none are named. */
function readText(status: MigrationStatus): string {
  const { keysDone, keysFiltered, bytesDone, changeBytes } = status
  const bytes = bytesDone + changeBytes
  const size = bytes === 0 && keysDone > 0 ? '' : `, ${formatBytes(bytes)}`
  const none = keysDone > 0 && keysFiltered === keysDone ? '; the filter takes none of them' : ''
  return `${counted(keysDone, 'key')}${size}${none}`
}

/** What a run did. */
export function reportLines(report: MigrationReport): string[] {
  const { status } = report
  const elapsed = status.updatedAt - status.startedAt
  const row = (name: string, value: string): string => `${`${name}:`.padEnd(18)}${value}`
  const some = (name: string, count: number): string[] => (count > 0 ? [row(name, formatCount(count))] : [])
  return [
    THICK,
    'MIGRATION REPORT',
    THICK,
    '',
    row('Migration', status.id),
    row('Result', status.state),
    row('Source', status.source),
    row('Target', status.target),
    row('How', howText(status)),
    row('Read', readText(status)),
    row('Written', formatCount(status.keysWritten)),
    ...some('Filtered out', status.keysFiltered),
    ...some('Left out', status.keysLeftOut),
    ...some('Already there', status.keysKept),
    ...some('Skipped', status.keysSkipped),
    ...some('Deleted', status.keysDeleted),
    row('Failed', formatCount(status.keysFailed)),
    ...(status.changesApplied > 0 || status.changesFiltered > 0 ? [row('Changes applied', changesText(status))] : []),
    row('Elapsed', formatDuration(elapsed)),
    ...(report.failures.length > 0
      ? [
          '',
          'FAILED KEYS',
          THIN,
          ...report.failures.slice(0, 20).map((one) => `${one.key} (db ${one.db}): ${one.reason}`),
        ]
      : []),
    ...(report.notCarried.length > 0
      ? [
          '',
          'NOT CARRIED',
          THIN,
          ...report.notCarried.map(
            (one) =>
              `${one.what}: ${formatCount(one.count)}${one.examples.length > 0 ? `, such as ${one.examples.join(', ')}` : ''}`,
          ),
        ]
      : []),
    ...(report.passed.count > 0
      ? [
          '',
          `CARRIED AS THEY WERE (no rule could change them${report.errorsFile === null ? '' : `; listed in ${report.errorsFile}`})`,
          THIN,
          `${counted(report.passed.count, 'value')}, such as ${report.passed.examples.join(', ')}`,
        ]
      : []),
    ...(report.cutover === null
      ? []
      : [
          '',
          'CUTOVER',
          THIN,
          row(
            'Writers waited',
            report.cutover.downtimeMs === null ? 'not kept out' : formatDuration(report.cutover.downtimeMs),
          ),
        ]),
    ...(report.verification ? ['', ...verificationLines(report.verification)] : []),
    ...(report.changesSinceVerification
      ? [
          `${counted(report.changesSinceVerification, 'change')} came after it and ${report.changesSinceVerification === 1 ? 'was' : 'were'} applied.`,
        ]
      : []),
  ]
}
