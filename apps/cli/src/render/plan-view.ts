import type { Plan } from '@ferrite-migrate/core'
import { formatBytes, formatCount, formatDuration, THICK, THIN } from './format.js'

const MARKS = { info: ' ', warn: '⚠️ ', fail: '❌' } as const

/** What a run would do, and why. */
export function planLines(plan: Plan): string[] {
  const facts = (entries: Readonly<Record<string, string>>): string[] =>
    Object.entries(entries).map(([name, value]) => `  ${name}: ${value}`)
  const {
    include,
    exclude,
    includeRegex,
    excludeRegex,
    types,
    dbs,
    expiry,
    minSize,
    maxSize,
    minTtlMs,
    maxTtlMs,
    slots,
  } = plan.filter
  const filters = [
    ...include.map((pattern) => `include ${pattern}`),
    ...exclude.map((pattern) => `exclude ${pattern}`),
    ...includeRegex.map((pattern) => `include /${pattern}/`),
    ...excludeRegex.map((pattern) => `exclude /${pattern}/`),
    ...(minSize === undefined ? [] : [`values from ${formatBytes(minSize)}`]),
    ...(maxSize === undefined ? [] : [`values to ${formatBytes(maxSize)}`]),
    ...(minTtlMs === undefined ? [] : [`living at least ${formatDuration(minTtlMs)} more`]),
    ...(maxTtlMs === undefined ? [] : [`living at most ${formatDuration(maxTtlMs)} more`]),
    ...(slots.length > 0 ? [`slots ${slots.join(', ')}`] : []),
    ...(types.length > 0 ? [`types ${types.join(', ')}`] : []),
    ...(dbs.length > 0 ? [`databases ${dbs.join(', ')}`] : []),
    ...(expiry === 'any' ? [] : [`only ${expiry} keys`]),
  ]
  return [
    THICK,
    'MIGRATION PLAN',
    THICK,
    '',
    `Source: ${plan.source}`,
    ...facts(plan.sourceFacts),
    '',
    `Target: ${plan.target}`,
    ...facts(plan.targetFacts),
    '',
    'HOW',
    THIN,
    `Mode: ${plan.mode}; ${plan.keys === null ? 'unknown' : formatCount(plan.keys)} keys; ${plan.lanes} lanes; ${formatCount(plan.batchSize)} keys per batch; existing keys: ${plan.onConflict}`,
    `Filters: ${filters.length > 0 ? filters.join('; ') : 'none'}`,
    ...(plan.transforms.length > 0 ? [`Transforms: ${plan.transforms.join('; ')}`] : []),
    ...plan.reasons.map((reason) => `• ${reason}`),
    '',
    'CHECKS',
    THIN,
    ...plan.findings.map((finding) => `${MARKS[finding.level]} ${finding.text}`),
    '',
    plan.findings.some((finding) => finding.level === 'fail')
      ? 'RESULT: ❌ a run would be refused'
      : 'RESULT: ✅ ready; nothing was written but probe keys, which are removed',
  ]
}
