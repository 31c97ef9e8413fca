import { formatCount, THICK, THIN } from '@ferrite-migrate/cli-kit'
import type { Diagnosis, EndDiagnosis } from '@ferrite-migrate/core'
import type { Installation } from '../installation/installation.js'
import { installationLines } from './installation-view.js'

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

/** What doctor found where it was given no ends. */
export function installedLines(installation: Installation): string[] {
  return [
    ...[THICK, 'DOCTOR', THICK, '', ...installationLines(installation)],
    `RESULT: ${installation.whole ? '✅ the installation is whole; with --source and --target both ends are checked too' : '❌ the installation is not whole'}`,
  ]
}

/** What doctor found. */
export function diagnosisLines({ ends, findings, ready }: Diagnosis, installation: Installation): string[] {
  const lines = [THICK, 'DOCTOR', THICK, '', ...installationLines(installation)]
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
