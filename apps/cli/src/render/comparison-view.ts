import type { ComparisonReport, EncodedBytes, KeyDifference } from '@ferrite-migrate/core'
import { formatCount, THICK, THIN } from './format.js'

function shown(bytes: EncodedBytes | null): string {
  if (bytes === null) return '(none)'
  const text = bytes.text === undefined ? `base64 ${bytes.base64}` : JSON.stringify(bytes.text)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** Some of the differences as lines. */
export function differenceLines(difference: KeyDifference): string[] {
  const { key, db, kind, detail, parts, partCount, repaired } = difference
  return [
    `${shown(key)}${db === 0 ? '' : ` (db ${db})`}: ${kind}, ${detail}${repaired ? '; repaired' : ''}`,
    ...parts
      .slice(0, 5)
      .map(
        ({ part, name, source, target }) =>
          `    ${part}${name === null ? '' : ` ${shown(name)}`}: ${shown(source)} at the source, ${shown(target)} at the target`,
      ),
    ...(partCount > 5 ? [`    … ${formatCount(partCount - 5)} more parts`] : []),
  ]
}

export function comparisonLines(
  report: ComparisonReport,
  first: readonly KeyDifference[],
  output: string | undefined,
  repairing: boolean,
): string[] {
  const row = (name: string, value: number): string => `${`${name}:`.padEnd(18)}${formatCount(value)}`
  return [
    THICK,
    'COMPARISON REPORT',
    THICK,
    '',
    row('Keys compared', report.compared),
    row('Different', report.different),
    ...(repairing ? [row('Repaired', report.repaired), row('Still different', report.stillDifferent)] : []),
    ...(first.length > 0 ? ['', 'DIFFERENCES', THIN, ...first.flatMap(differenceLines)] : []),
    ...(report.different > first.length ? [`… ${formatCount(report.different - first.length)} more keys`] : []),
    ...(output === undefined ? [] : ['', `All differences are in ${output}.`]),
    '',
    `RESULT: ${report.different === 0 ? '✅ EQUAL' : repairing && report.repaired === report.different && report.stillDifferent === 0 ? '✅ REPAIRED' : '❌ DIFFERENCES FOUND'}`,
  ]
}
