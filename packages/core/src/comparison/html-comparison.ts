import { htmlPage, htmlTable, markup } from '../html-page.js'
import type { ComparisonReport, KeyDifference } from './comparison.js'
import type { EncodedBytes } from './encoded-bytes.js'

function text(bytes: EncodedBytes | null): string {
  return bytes === null ? '—' : (bytes.text ?? `base64 ${bytes.base64}`)
}

/** Differences as one page. */
export function htmlComparison(
  source: string,
  target: string,
  report: ComparisonReport,
  differences: readonly KeyDifference[],
): string {
  const sections = differences.map(
    ({ key, db, kind, detail, parts, partCount, expireAt }) =>
      `<h3>${markup(text(key))}${db === 0 ? '' : ` (db ${db})`}</h3><p>${markup(kind)}: ${markup(detail)}</p>${
        parts.length === 0
          ? htmlTable([['Expires', expireAt.source ?? 'never', expireAt.target ?? 'never']], ['', 'Source', 'Target'])
          : htmlTable(
              parts.map((part) => [
                `${part.part}${part.name === null ? '' : ` ${text(part.name)}`}`,
                text(part.source),
                text(part.target),
              ]),
              ['Part', 'Source', 'Target'],
            )
      }${partCount > parts.length ? `<p class="none">${partCount - parts.length} more parts</p>` : ''}`,
  )
  return htmlPage(
    'Comparison',
    `<h1>Comparison</h1>${htmlTable([
      ['Source', source],
      ['Target', target],
      ['Keys compared', String(report.compared)],
      ['Different', String(report.different)],
      ['Repaired', String(report.repaired)],
    ])}<h2>Differences</h2>${sections.join('\n')}${report.different > differences.length ? `<p class="none">${report.different - differences.length} more keys</p>` : ''}`,
  )
}
