import { htmlPage, htmlTable, markup } from './html-page.js'
import type { Pass, Sample, StoredEvent, StoredMigration } from './state-store.js'

const WIDTH = 860
const HEIGHT = 160
const POINTS = 800

function time(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

function short(value: number): string {
  return value >= 1e9
    ? `${(value / 1e9).toFixed(1)}G`
    : value >= 1e6
      ? `${(value / 1e6).toFixed(1)}M`
      : value >= 1e3
        ? `${(value / 1e3).toFixed(1)}k`
        : String(Math.round(value))
}

/** At most so many points; of those that fall together the highest stays, so that no peak is hidden. */
function thin(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const each = Math.ceil(points.length / POINTS)
  const kept: (readonly [number, number])[] = []
  for (let from = 0; from < points.length; from += each)
    kept.push(points.slice(from, from + each).reduce((high, point) => (point[1] > high[1] ? point : high)))
  return kept
}

function chart(title: string, unit: string, points: readonly (readonly [number, number])[]): string {
  if (points.length < 2) return `<h3>${title}</h3><p class="none">Too few samples for a chart.</p>`
  const first = points[0][0]
  const last = points[points.length - 1][0]
  const high = Math.max(1, ...points.map(([, value]) => value))
  const place = ([at, value]: readonly [number, number]): string =>
    `${(((at - first) / Math.max(1, last - first)) * WIDTH).toFixed(1)},${(HEIGHT - (value / high) * HEIGHT).toFixed(1)}`
  const line = thin(points).map(place).join(' ')
  return `<h3>${title}</h3><svg viewBox="-60 -10 ${WIDTH + 70} ${HEIGHT + 40}" role="img" aria-label="${title}">
<rect width="${WIDTH}" height="${HEIGHT}" class="frame"/><polyline points="${line}"/>
<text x="-8" y="10" class="end">${short(high)} ${unit}</text><text x="-8" y="${HEIGHT}" class="end">0</text>
<text x="0" y="${HEIGHT + 20}">${time(first)}</text><text x="${WIDTH}" y="${HEIGHT + 20}" class="end">${time(last)}</text></svg>`
}

/** One page that needs nothing else: what a migration was, how fast it went, how far behind it was, and its audit trail. */
export function htmlReport(
  migration: StoredMigration,
  samples: readonly Sample[],
  events: readonly StoredEvent[],
  passes: readonly Pass[],
): string {
  const { status } = migration
  const of = (pick: (sample: Sample) => number | null): (readonly [number, number])[] =>
    samples.flatMap((sample) => {
      const value = pick(sample)
      return value === null ? [] : [[sample.at, value] as const]
    })
  const facts = [
    ['Source', migration.source],
    ['Target', migration.target],
    ['Mode', `${migration.mode}, ${status.capture}, ${status.apply}`],
    ['State', `${status.state}, ${status.phase}`],
    ['Started', `${time(migration.createdAt)} UTC`],
    ['Last sign of life', `${time(migration.heartbeatAt)} UTC`],
    ['Keys copied', `${status.keysDone} of ${status.keysTotal ?? 'unknown'}`],
    [
      'Keys written, deleted, skipped, failed',
      `${status.keysWritten}, ${status.keysDeleted}, ${status.keysSkipped}, ${status.keysFailed}`,
    ],
    ['Changes applied', String(status.changesApplied)],
    ...(status.error === null ? [] : [['Error', `${status.error.code}: ${status.error.message}`]]),
  ]
  return htmlPage(
    `Migration ${migration.id}`,
    `<h1>Migration ${markup(migration.id)}</h1><p>${markup(status.state)}</p>${htmlTable(facts)}
<h2>Rate and lag</h2>${chart(
      'Keys and changes per second',
      '/s',
      of((sample) => sample.rate),
    )}${chart(
      'Lag in bytes',
      'B',
      of((sample) => sample.lagBytes),
    )}${chart(
      'Lag in milliseconds',
      'ms',
      of((sample) => sample.lagMs),
    )}
${
  passes.length === 0
    ? ''
    : `<h2>Passes</h2>${htmlTable(
        passes.map((pass) => [
          String(pass.number),
          time(pass.startedAt),
          `${pass.endedAt - pass.startedAt} ms`,
          pass.sync,
          String(pass.changes),
          String(pass.written),
          String(pass.deleted),
        ]),
        ['Pass', 'Started', 'Took', 'Sync', 'Changes', 'Written', 'Deleted'],
      )}`
}
<h2>Audit trail</h2>${htmlTable(
      events.map((event) => [time(event.at), event.type, event.text, event.actor]),
      ['Time (UTC)', 'Event', 'What', 'Who'],
    )}`,
  )
}
