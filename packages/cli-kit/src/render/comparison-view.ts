import { counted } from '@ferrite-migrate/contracts'
import type { ComparisonReport, ElementDifference, EncodedBytes, KeyDifference } from '@ferrite-migrate/core'
import { formatCount, THICK, THIN } from './format.js'

const LONG = 60

function written(bytes: EncodedBytes): string {
  return bytes.text === undefined ? `base64 ${bytes.base64}` : JSON.stringify(bytes.text)
}

function shown(bytes: EncodedBytes | null): string {
  if (bytes === null) return '(none)'
  const text = written(bytes)
  return text.length > LONG ? `${text.slice(0, LONG - 3)}…` : text
}

/** One part in which two values differ: short ones whole, long ones from where they begin to differ. */
function partLine({ part, name, source, target, around }: ElementDifference, columns: number): string[] {
  const what = `    ${part}${name === null ? '' : ` ${shown(name)}`}`
  if (around === undefined) return [`${what}: ${shown(source)} at the source, ${shown(target)} at the target`]
  const side = (bytes: EncodedBytes): string => `${around.from > 0 ? '…' : ''}${written(bytes)}`
  const [left, right] = [side(around.source), side(around.target)]
  const head = `${what}, from byte ${formatCount(around.at)}`
  const one = `${head}: ${left} at the source, ${right} at the target`
  return one.length <= columns ? [one] : [`${head}:`, `      source: ${left}`, `      target: ${right}`]
}

/** The first parts of a difference as lines. */
export function partLines(parts: readonly ElementDifference[], count: number, most: number, columns: number): string[] {
  return [
    ...parts.slice(0, most).flatMap((part) => partLine(part, columns)),
    ...(count > Math.min(most, parts.length)
      ? [`    … ${counted(count - Math.min(most, parts.length), 'more part')}`]
      : []),
  ]
}

/** Some of the differences as lines. */
export function differenceLines(difference: KeyDifference, columns: number): string[] {
  const { key, db, kind, detail, parts, partCount, repaired } = difference
  return [
    `${shown(key)}${db === 0 ? '' : ` (db ${db})`}: ${kind}, ${detail}${repaired ? '; repaired' : ''}`,
    ...partLines(parts, partCount, 5, columns),
  ]
}

export function comparisonLines(
  report: ComparisonReport,
  first: readonly KeyDifference[],
  output: string | undefined,
  repairing: boolean,
  columns = 120,
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
    ...(first.length > 0 ? ['', 'DIFFERENCES', THIN, ...first.flatMap((one) => differenceLines(one, columns))] : []),
    ...(report.different > first.length ? [`… ${formatCount(report.different - first.length)} more keys`] : []),
    ...(output === undefined ? [] : ['', `All differences are in ${output}.`]),
    '',
    `RESULT: ${report.nothing ? '⚠ NOTHING WAS COMPARED: the source has keys, and the filter or database takes none of them' : report.different === 0 ? '✅ EQUAL' : repairing && report.repaired === report.different && report.stillDifferent === 0 ? '✅ REPAIRED' : '❌ DIFFERENCES FOUND'}`,
  ]
}
