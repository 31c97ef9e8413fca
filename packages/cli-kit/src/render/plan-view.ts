import { filterWords, type Plan } from '@ferrite-migrate/core'
import { formatCount, THICK, THIN } from './format.js'

const MARKS = { info: ' ', warn: '⚠️ ', fail: '❌' } as const

/** What a run would do, and why. */
export function planLines(plan: Plan): string[] {
  const facts = (entries: Readonly<Record<string, string>>): string[] =>
    Object.entries(entries).map(([name, value]) => `  ${name}: ${value}`)
  const filters = filterWords(plan.filter)
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
    ...plan.plugins.map(
      ({ name, version, what, folder }) => `Plugin: ${name} ${version} (${what.join(', ')}), from ${folder}`,
    ),
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
