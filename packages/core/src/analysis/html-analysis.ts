import { htmlPage, htmlTable, markup, verdict } from '../report/html-page.js'
import { treemap } from '../report/html-treemap.js'
import { formatBytes } from '../report/words.js'
import type { KeySummary } from './key-statistics.js'

const WIDTH = 860
const BAR = 22

function bars(rows: readonly (readonly [string, number])[]): string {
  const high = Math.max(1, ...rows.map(([, value]) => value))
  const lines = rows.map(
    ([name, value], i) =>
      `<text x="-8" y="${i * BAR + 15}" class="end">${markup(name)}</text><rect class="bar" x="0" y="${i * BAR + 3}" width="${((value / high) * (WIDTH - 100)).toFixed(1)}" height="${BAR - 6}"/><text x="${((value / high) * (WIDTH - 100) + 6).toFixed(1)}" y="${i * BAR + 15}">${value.toLocaleString('en-US')}</text>`,
  )
  return `<svg viewBox="-170 0 ${WIDTH + 180} ${rows.length * BAR + 4}" role="img">${lines.join('')}</svg>`
}

/** An analysis as one page: a treemap of key prefixes by bytes, bars of types and expiries, tables of the rest. */
export function htmlAnalysis(title: string, facts: readonly (readonly string[])[], summary: KeySummary): string {
  const number = (value: number): string => value.toLocaleString('en-US')
  return htmlPage(
    title,
    `<h1>${markup(title)}</h1>${verdict(
      'good',
      `${number(summary.keys)} ${summary.keys === 1 ? 'key' : 'keys'} looked at`,
      [
        ['Bytes', formatBytes(summary.bytes)],
        ['Shapes of names', number(summary.patterns.length)],
        ['Types', number(summary.types.length)],
      ],
    )}${htmlTable(facts)}
${summary.tree === undefined ? '' : `<h2>Key prefixes</h2>${treemap(summary.tree)}`}
<h2>Keys by type</h2>${bars(summary.types.map(({ type, keys }) => [type, keys] as const))}
<h2>Time to live</h2>${bars(summary.ttl.map(({ name, keys }) => [name, keys] as const))}
<h2>Key patterns</h2>${htmlTable(
      summary.patterns.map(({ pattern, keys, bytes, example }) => [pattern, number(keys), number(bytes), example]),
      ['Pattern', 'Keys', 'Bytes', 'Example'],
    )}
<h2>Largest keys</h2>${htmlTable(
      summary.bigKeys.map(({ db, key, type, bytes, elements }) => [
        key,
        String(db),
        type,
        number(bytes),
        number(elements),
      ]),
      ['Key', 'Database', 'Type', 'Bytes', 'Elements'],
    )}
<h2>Encodings</h2>${htmlTable(
      summary.encodings.map(({ name, keys, bytes }) => [name, number(keys), number(bytes)]),
      ['Encoding', 'Keys', 'Bytes'],
    )}`,
  )
}
