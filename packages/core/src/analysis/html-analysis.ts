import { htmlPage, htmlTable, markup } from '../html-page.js'
import type { KeySummary } from './key-statistics.js'

const WIDTH = 860
const HEIGHT = 360
const BAR = 22
const COLOURS = ['#b5442a', '#2a6f97', '#5a7d2a', '#8a5a9e', '#c98a1b', '#3d7a72', '#7a4a3d', '#4a5a8a']

interface Tile {
  readonly label: string
  readonly size: number
}

/** Rectangles whose areas are the sizes: each cut splits what is left in two halves along its longer side. */
function tiles(list: readonly Tile[], x: number, y: number, width: number, height: number, colour: number): string {
  if (list.length === 0) return ''
  if (list.length === 1) {
    const [{ label }] = list
    const fits = width > 60 && height > 18
    return `<rect class="tile" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}" fill="${COLOURS[colour % COLOURS.length]}"><title>${markup(label)}</title></rect>${fits ? `<text x="${(x + 4).toFixed(1)}" y="${(y + 15).toFixed(1)}">${markup(label.slice(0, Math.floor(width / 7)))}</text>` : ''}`
  }
  const total = list.reduce((sum, { size }) => sum + size, 0)
  let head = 0
  let cut = 0
  while (cut < list.length - 1 && (cut === 0 || head + list[cut].size / 2 < total / 2)) head += list[cut++].size
  const share = head / total
  const first = list.slice(0, cut)
  const second = list.slice(cut)
  return width >= height
    ? tiles(first, x, y, width * share, height, colour) +
        tiles(second, x + width * share, y, width * (1 - share), height, colour + cut)
    : tiles(first, x, y, width, height * share, colour) +
        tiles(second, x, y + height * share, width, height * (1 - share), colour + cut)
}

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
  const patterns = summary.patterns
    .filter(({ bytes }) => bytes > 0)
    .map(({ pattern, bytes }) => ({ label: `${pattern} ${number(bytes)} B`, size: bytes }))
    .sort((a, b) => b.size - a.size)
  return htmlPage(
    title,
    `<h1>${markup(title)}</h1>${htmlTable(facts)}
<h2>Bytes by key prefix</h2><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${tiles(patterns, 0, 0, WIDTH, HEIGHT, 0)}</svg>
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
