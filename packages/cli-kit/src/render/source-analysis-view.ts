import type { SourceAnalysis } from '@ferrite-migrate/core'
import { summarySections } from './analysis-view.js'
import { clusterLines } from './cluster-view.js'
import { formatBytes, formatCount, THICK, THIN } from './format.js'

const MARKS = { ok: '✅', warn: '⚠️ ' } as const

/** The lines of `analyze`, laid out as on the product page; what was only sampled says so. */
export function sourceAnalysisLines(connection: string, analysis: SourceAnalysis): string[] {
  const { survey, summary, totalKeys, lookedAt, error, compatibility, recommendations, writeTest } = analysis
  const memory = summary.types.reduce((sum, { bytes }) => sum + bytes, 0)
  const share = (bytes: number): string => `${(memory === 0 ? 0 : (bytes / memory) * 100).toFixed(1)}%`
  const details = summarySections(summary)
  return [
    THICK,
    'SOURCE ANALYSIS REPORT',
    THICK,
    '',
    `Connection: ${connection}`,
    `${survey.product} Version: ${survey.version}`,
    '',
    'DATA SUMMARY',
    THIN,
    `Total Keys: ${formatCount(totalKeys)}`,
    `Memory Used: ${formatBytes(survey.usedMemory)}`,
    ...(error > 0
      ? [
          `Looked at: ${formatCount(lookedAt)} keys; counts are scaled up, shares are right to ±${(error * 100).toFixed(1)}% (95%)`,
        ]
      : []),
    ...(survey.shards === undefined ? [] : clusterLines(survey.shards)),
    '',
    'KEY DISTRIBUTION',
    THIN,
    `${'Type'.padEnd(14)}${'Count'.padEnd(12)}${'Memory'.padEnd(11)}%`,
    THIN,
    ...summary.types.map(
      ({ type, keys, bytes }) =>
        `${type.padEnd(14)}${formatCount(keys).padEnd(12)}${formatBytes(bytes).padEnd(11)}${share(bytes)}`,
    ),
    '',
    'KEY PATTERNS (Top 10)',
    THIN,
    `${'Pattern'.padEnd(18)}${'Count'.padEnd(11)}Example`,
    THIN,
    ...summary.patterns
      .slice(0, 10)
      .map(({ pattern, keys, example }) => `${pattern.padEnd(18)}${formatCount(keys).padEnd(11)}${example}`),
    '',
    'COMPATIBILITY',
    THIN,
    ...compatibility.map(({ level, text }) => `${MARKS[level]} ${text}`),
    '',
    'RECOMMENDATIONS',
    THIN,
    ...recommendations.map((text) => `• ${text}`),
    ...(writeTest === null
      ? []
      : [
          `• Write test: ${formatCount(writeTest.keys)} keys (${formatBytes(writeTest.bytes)}) in ${Math.round(writeTest.ms)} ms, removed again`,
        ]),
    // The patterns stand above already.
    ...details.slice(details.indexOf('TIME TO LIVE') - 1),
  ]
}
