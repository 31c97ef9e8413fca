import type { KeySummary, RdbAnalysis } from '@ferrite-migrate/core'
import { formatBytes, formatCount, THIN } from './format.js'

function percent(part: number, whole: number): string {
  return whole === 0 ? '0%' : `${((part / whole) * 100).toFixed(part / whole >= 0.0995 ? 0 : 1)}%`
}

function rows(cells: readonly (readonly string[])[], widths: readonly number[]): string[] {
  return cells.map((line) =>
    line
      .map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd(widths[i])))
      .join(' ')
      .trimEnd(),
  )
}

/** The sections that every analysis of keys has. */
export function summarySections(summary: KeySummary): string[] {
  return [
    '',
    'KEY PATTERNS',
    THIN,
    ...rows(
      [
        ['Pattern', 'Count', 'Size', 'Example'],
        ...summary.patterns.map(({ pattern, keys, bytes, example }) => [
          pattern,
          formatCount(keys),
          formatBytes(bytes),
          example,
        ]),
      ],
      [24, 12, 10],
    ),
    '',
    'TIME TO LIVE',
    THIN,
    ...rows(
      summary.ttl
        .filter(({ keys }) => keys > 0)
        .map(({ name, keys }) => [name, formatCount(keys), percent(keys, summary.keys)]),
      [24, 12],
    ),
    '',
    'ENCODINGS',
    THIN,
    ...rows(
      summary.encodings.map(({ name, keys, bytes }) => [name, formatCount(keys), formatBytes(bytes)]),
      [34, 12],
    ),
    ...(summary.bigKeys.length > 0
      ? [
          '',
          'LARGEST KEYS',
          THIN,
          ...rows(
            [
              ['Key', 'Type', 'Size', 'Elements'],
              ...summary.bigKeys.map(({ db, key, type, bytes, elements }) => [
                db === 0 ? key : `${key} (db ${db})`,
                type,
                formatBytes(bytes),
                formatCount(elements),
              ]),
            ],
            [34, 8, 10],
          ),
        ]
      : []),
  ]
}

/** `string (65%), hash (20%), list (10%), other (5%)`, by number of keys. */
function typeShares({ types, keys }: KeySummary): string {
  const sorted = [...types].sort((a, b) => b.keys - a.keys)
  const named = sorted.slice(0, 3).map(({ type, keys: count }) => `${type} (${percent(count, keys)})`)
  const rest = sorted.slice(3).reduce((sum, { keys: count }) => sum + count, 0)
  return [...named, ...(rest > 0 ? [`other (${percent(rest, keys)})`] : [])].join(', ') || 'none'
}

/** The lines of `analyze-rdb`: those of the product page first, then the details. */
export function rdbAnalysisLines(analysis: RdbAnalysis): string[] {
  const { databases, functions, modules, aux } = analysis
  return [
    `RDB Version: ${analysis.rdbVersion}${analysis.valkey ? ' (Valkey)' : ''}`,
    `Keys: ${formatCount(analysis.keys)}`,
    `Size: ${formatBytes(analysis.fileBytes)} (compressed) / ${formatBytes(analysis.inflatedBytes)} (uncompressed)`,
    `Types: ${typeShares(analysis)}`,
    '',
    'DETAILS',
    THIN,
    `Written by: ${aux['redis-ver'] ?? aux['valkey-ver'] ?? 'unknown'}${aux.ctime ? `, ${new Date(Number(aux.ctime) * 1000).toISOString()}` : ''}`,
    `Databases: ${databases.map(({ db, keys }) => `${db} (${formatCount(keys)})`).join(', ') || 'none'}`,
    `Functions: ${functions.length === 0 ? 'none' : functions.join(', ')}`,
    `Modules: ${modules.length === 0 ? 'none' : modules.map(({ name, values }) => `${name} (${formatCount(values)} values)`).join(', ')}`,
    `HyperLogLogs: ${formatCount(analysis.hyperLogLogs)}`,
    `Hashes with field expiry: ${formatCount(analysis.hashesWithFieldExpiry)}`,
    '',
    'TYPES',
    THIN,
    ...rows(
      [
        ['Type', 'Count', 'Size', 'Elements'],
        ...analysis.types.map(({ type, keys, bytes, elements }) => [
          type,
          formatCount(keys),
          formatBytes(bytes),
          formatCount(elements),
        ]),
      ],
      [10, 12, 10],
    ),
    ...summarySections(analysis),
  ]
}
