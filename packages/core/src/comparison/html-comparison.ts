import { htmlPage, htmlTable, markup, verdict } from '../page/html-page.js'
import { formatCount } from '../page/words.js'
import type { ElementDifference } from '../records/deep-difference.js'
import type { Around, EncodedBytes } from '../records/encoded-bytes.js'
import type { ComparisonReport, KeyDifference } from './comparison.js'

/** Rows of a group that are shown. */
const ROWS = 200
const LONG = 200
const SEPARATOR = /[:/._\-|#@,]/

function text(bytes: EncodedBytes | null): string {
  if (bytes === null) return '—'
  const whole = bytes.text ?? `base64 ${bytes.base64}`
  return whole.length > LONG ? `${whole.slice(0, LONG)}…` : whole
}

/** One side of a part, with what differs marked. */
function cell(side: EncodedBytes | null, around: Around | undefined, of: 'source' | 'target'): string {
  if (around === undefined) return `<td>${markup(text(side))}</td>`
  const shown = around[of]
  const at = around.at - around.from
  const front = around.from > 0 ? '…' : ''
  // In text the marked part begins behind as many bytes as both have in common.
  if (shown.text === undefined) return `<td>${front}${markup(text(shown))}</td>`
  const bytes = Buffer.from(shown.text)
  return `<td>${front}${markup(bytes.subarray(0, at).toString('utf8'))}<mark>${markup(bytes.subarray(at).toString('utf8'))}</mark></td>`
}

function rowsOf(difference: KeyDifference): string[] {
  const { key, db, detail, parts, partCount, expireAt, repaired } = difference
  const name = `${text(key)}${db === 0 ? '' : ` (db ${db})`}${repaired ? ', repaired' : ''}`
  const head = `<td class="key">${markup(name)}</td>`
  if (parts.length === 0)
    return [
      `<tr>${head}<td>${markup(detail)}</td><td>${markup(`expires ${expireAt.source ?? 'never'}`)}</td><td>${markup(`expires ${expireAt.target ?? 'never'}`)}</td></tr>`,
    ]
  const part = ({ part, name, source, target, around }: ElementDifference): string =>
    `<td>${markup(`${part}${name === null ? '' : ` ${text(name)}`}${around === undefined ? '' : ` from byte ${formatCount(around.at)}`}`)}</td>${cell(source, around, 'source')}${cell(target, around, 'target')}`
  return [
    ...parts.map((one, i) => `<tr>${i === 0 ? head : '<td></td>'}${part(one)}</tr>`),
    ...(partCount > parts.length
      ? [`<tr><td></td><td class="none" colspan="3">${formatCount(partCount - parts.length)} more parts</td></tr>`]
      : []),
  ]
}

/** `user:*` of `user:12`. */
function prefixOf(key: EncodedBytes): string {
  const name = key.text ?? ''
  const at = name.search(SEPARATOR)
  return at < 0 ? (key.text === undefined ? '(binary names)' : '(no prefix)') : `${name.slice(0, at + 1)}*`
}

/** Differences as one page, by kind and prefix; `report` counts those that are not among them. */
export function htmlComparison(
  source: string,
  target: string,
  report: ComparisonReport,
  differences: readonly KeyDifference[],
): string {
  const groups = new Map<string, KeyDifference[]>()
  for (const difference of differences) {
    const name = `${difference.kind}, ${prefixOf(difference.key)}`
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [difference])
    else group.push(difference)
  }
  const sections = [...groups]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([name, group], i) => {
      const rows: string[] = []
      let shown = 0
      for (const difference of group) {
        if (rows.length >= ROWS) break
        rows.push(...rowsOf(difference))
        shown++
      }
      return `<details${i < 3 ? ' open' : ''}><summary>${markup(name)} <b>${formatCount(group.length)}</b></summary><div class="wide"><table><tr><th>Key</th><th>Part</th><th>Source</th><th>Target</th></tr>${rows.join('')}</table></div>${shown < group.length ? `<p class="none">and ${formatCount(group.length - shown)} more keys; --output FILE has all</p>` : ''}</details>`
    })
  const kinds = Object.entries(report.kinds).map(([kind, count]) => [kind, formatCount(count)])
  const mended = report.repaired === report.different && report.stillDifferent === 0
  return htmlPage(
    'Comparison',
    `<h1>Comparison</h1>${verdict(
      report.nothing ? 'warn' : report.different === 0 || mended ? 'good' : 'bad',
      report.nothing
        ? 'NOTHING WAS COMPARED'
        : report.different === 0
          ? 'EQUAL'
          : mended
            ? 'REPAIRED'
            : 'DIFFERENCES FOUND',
      [
        ['Compared', formatCount(report.compared)],
        ['Different', formatCount(report.different)],
        ['Repaired', formatCount(report.repaired)],
      ],
    )}${htmlTable([
      ['Source', source],
      ['Target', target],
    ])}${kinds.length === 0 ? '' : htmlTable(kinds, ['Kind', 'Keys'])}<h2>Differences</h2>${sections.join('\n')}${report.different > differences.length ? `<p class="none">${formatCount(report.different - differences.length)} more keys are not on this page; --output FILE has all</p>` : ''}`,
  )
}
