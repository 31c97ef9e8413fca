import type { ShardSurvey } from '@ferrite-migrate/contracts'
import { htmlPage, htmlTable, markup, verdict } from '../page/html-page.js'
import { treemap } from '../page/html-treemap.js'
import { formatBytes } from '../page/words.js'
import type { KeySummary } from './key-statistics.js'

const WIDTH = 860
const BAR = 22
const SLOTS_SHOWN = 20

function bars(label: string, rows: readonly (readonly [string, number])[]): string {
  const high = Math.max(1, ...rows.map(([, value]) => value))
  const lines = rows.map(
    ([name, value], i) =>
      `<text x="-8" y="${i * BAR + 15}" class="end">${markup(name)}</text><rect class="bar" x="0" y="${i * BAR + 3}" width="${((value / high) * (WIDTH - 100)).toFixed(1)}" height="${BAR - 6}"/><text x="${((value / high) * (WIDTH - 100) + 6).toFixed(1)}" y="${i * BAR + 15}">${value.toLocaleString('en-US')}</text>`,
  )
  return `<svg viewBox="-170 0 ${WIDTH + 180} ${rows.length * BAR + 4}" role="img" aria-label="${markup(label)}">${lines.join('')}</svg>`
}

function clusterTables(shards: readonly ShardSurvey[]): string {
  const number = (value: number): string => value.toLocaleString('en-US')
  const named = shards.flatMap(({ place, fullest, hottest }) => {
    const times = new Map(hottest?.map(({ slot, cpuMs }) => [slot, cpuMs]))
    const slots = [...fullest, ...(hottest ?? []).filter(({ slot }) => !fullest.some((one) => one.slot === slot))]
    return slots.map(({ slot, keys }) => ({ slot, keys, place, cpuMs: times.get(slot) }))
  })
  return `<h2>Keys by primary</h2>${bars(
    'Keys by primary',
    shards.map(({ place, keys }) => [place.replace(/^[^:]*:\/\//, ''), keys] as const),
  )}${htmlTable(
    shards.map(({ place, slots, slotCount, keys, usedMemory }) => [
      ...[place, number(slotCount), number(keys), formatBytes(usedMemory), slots],
    ]),
    ['Primary', 'Slots', 'Keys', 'Memory', 'Ranges'],
  )}
<h2>Slots that stand out</h2>${htmlTable(
    named
      .sort((a, b) => (b.cpuMs ?? 0) - (a.cpuMs ?? 0) || b.keys - a.keys)
      .slice(0, SLOTS_SHOWN)
      .map(({ slot, place, keys, cpuMs }) => [
        ...[String(slot), place, number(keys), cpuMs === undefined ? '' : number(Math.round(cpuMs))],
      ]),
    ['Slot', 'Primary', 'Keys', 'CPU, ms'],
  )}`
}

/** What an analysis found, as parts of a page: a treemap of key prefixes, bars of types and expiries, tables of the rest. */
export function analysisParts(summary: KeySummary, shards: readonly ShardSurvey[] = []): string {
  const number = (value: number): string => value.toLocaleString('en-US')
  return `${summary.tree === undefined ? '' : `<h2>Key prefixes</h2>${treemap(summary.tree)}`}
${shards.length === 0 ? '' : clusterTables(shards)}
<h2>Keys by type</h2>${bars(
    'Keys by type',
    summary.types.map(({ type, keys }) => [type, keys] as const),
  )}
<h2>Time to live</h2>${bars(
    'Time to live',
    summary.ttl.map(({ name, keys }) => [name, keys] as const),
  )}
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
  )}`
}

/** An analysis as one page: a treemap of key prefixes by bytes, bars of types and expiries, tables of the rest. */
export function htmlAnalysis(
  title: string,
  facts: readonly (readonly string[])[],
  summary: KeySummary,
  shards: readonly ShardSurvey[] = [],
): string {
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
${analysisParts(summary, shards)}`,
  )
}
