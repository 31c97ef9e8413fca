import { formatCount, THICK, THIN } from '@ferrite-migrate/cli-kit'
import type { Diagnosis, EndDiagnosis } from '@ferrite-migrate/core'

const MARKS = { info: '  ', warn: '⚠️ ', fail: '❌' } as const

/** One end in a line: what it is, its keys, how fast it answers. */
function endSummary({ facts, keys, latencyMs }: EndDiagnosis): string {
  const name = [facts.product, facts.version].filter((part) => part !== undefined && part !== '').join(' ')
  return [
    name || 'file',
    ...(keys === null ? [] : [`${formatCount(keys)} keys`]),
    ...(latencyMs === null ? [] : [`answers in ${latencyMs < 10 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`]),
  ].join(', ')
}

/** What doctor found. */
export function diagnosisLines({ ends, findings, ready }: Diagnosis): string[] {
  const lines = [THICK, 'DOCTOR', THICK, '']
  for (const end of ends) {
    lines.push(`${end.end === 'source' ? 'SOURCE' : 'TARGET'}: ${end.address}`, THIN)
    if (end.error === null) lines.push(`✅ ${endSummary(end)}`)
    else lines.push(`❌ ${end.error.code}: ${end.error.text}`, `   ${end.error.hint}`)
    lines.push('')
  }
  if (findings.length > 0) {
    lines.push('TOGETHER', THIN, ...findings.map(({ level, text }) => `${MARKS[level]} ${text}`), '')
  }
  lines.push(`RESULT: ${ready ? '✅ a migration would start' : '❌ a migration would not start'}`)
  return lines
}
