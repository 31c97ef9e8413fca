import { formatCount, THICK, THIN } from '@ferrite-migrate/cli-kit'
import { counted } from '@ferrite-migrate/contracts'
import type { HashReport } from '../index.js'

export function hashLines(report: HashReport): string[] {
  const row = (name: string, value: number, more = ''): string => `${`${name}:`.padEnd(18)}${formatCount(value)}${more}`
  const percent = report.compared === 0 ? 0 : (report.matching / report.compared) * 100
  return [
    THICK,
    'HASH VERIFICATION REPORT',
    THICK,
    '',
    `Sample: ${report.rate >= 1 ? 'all keys' : `${report.rate * 100}% of keys, seed ${report.seed}`}`,
    `Digests: ${report.algorithm === 'server' ? "the servers' own (DEBUG DIGEST-VALUE)" : 'made here (MurmurHash3, 128 bits)'}`,
    '',
    'SUMMARY',
    THIN,
    row('Keys compared', report.compared),
    row('Matching', report.matching, ` (${percent === 100 || percent === 0 ? percent : percent.toFixed(2)}%)`),
    row('Mismatched', report.mismatched),
    row('Missing source', report.missingSource),
    row('Missing target', report.missingTarget),
    ...(report.differences.length > 0
      ? [
          '',
          'DIFFERENCES',
          THIN,
          ...report.differences.slice(0, 20).map(({ db, key, kind }) => `${kind}: ${key} (db ${db})`),
          ...(report.differences.length > 20 ? [`… ${formatCount(report.differences.length - 20)} more`] : []),
        ]
      : []),
    ...verdict(report),
  ]
}

/** A sample says nothing of what it does not hold but how much of that may be wrong. */
function verdict(report: HashReport): string[] {
  if (report.compared === 0)
    return [
      '',
      `RESULT: ⚠ NOTHING WAS COMPARED: ${report.rate >= 1 ? 'both are empty, or the filter takes no key' : 'no key is in the sample (--sample-rate, --full)'}`,
    ]
  if (!report.equal)
    return [
      '',
      'RESULT: ❌ DIFFERENCES FOUND',
      'Which parts differ: ferrite-migrate compare, with --keys for one of them',
    ]
  if (report.rate >= 1)
    return ['', 'RESULT: ✅ VERIFIED: all values; ends of keys are not part of a digest (verify compares them)']
  return [
    '',
    `RESULT: no difference in the sample of ${counted(report.compared, 'key')}`,
    report.oneIn === null
      ? 'So few keys say nothing of the others: take more with --sample-rate.'
      : `With 95% confidence fewer than 1 in ${formatCount(report.oneIn)} keys differ, about ${counted(Math.ceil(report.compared / report.rate / report.oneIn), 'key')} of all.`,
    'All keys: --full',
  ]
}
