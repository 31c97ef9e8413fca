import { markup } from './html-page.js'
import { formatBytes, formatCount, formatDuration, formatTime, phaseWords } from './words.js'

/** A time in ms and a value. */
export type Point = readonly [at: number, value: number]

/** A phase of a run, as a stretch of time. */
export interface Band {
  readonly phase: string
  readonly from: number
  readonly to: number
}

export interface Mark {
  readonly at: number
  readonly text: string
}

export interface Chart {
  readonly title: string
  readonly unit: 'per second' | 'bytes' | 'ms' | 'keys'
  readonly points: readonly Point[]
  readonly bands: readonly Band[]
  readonly marks: readonly Mark[]
}

const WIDTH = 840
const HEIGHT = 180
const POINTS = 800
const TICKS = 4
/** A word takes about as much of the width; where the next is nearer, its line alone is drawn. */
const LABEL = 80
/** Nothing ran in a gap of this length: no line goes over it. */
const GAP_MS = 5000
const SECOND = 1000
const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400].map(
  (seconds) => seconds * SECOND,
)

/** Round values from zero to at least `high`, about `count` steps of 1, 2 or 5 times a power of ten. */
export function niceTicks(high: number, count: number): number[] {
  const rough = Math.max(high, 1e-9) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999) ?? power * 10
  const ticks: number[] = []
  for (let i = 0; ; i++) {
    ticks.push(Number((i * step).toPrecision(12)))
    if (i * step >= high) return ticks
  }
}

/** Round values of a unit: bytes by 1024s, and nothing in fractions that is counted. */
function valueTicks(high: number, unit: Chart['unit']): number[] {
  const whole = unit === 'bytes' || unit === 'keys' ? Math.max(high, TICKS) : high
  const scale = unit === 'bytes' ? 1024 ** Math.floor(Math.log(whole) / Math.log(1024)) : 1
  const ticks = niceTicks(whole / scale, TICKS).map((tick) => tick * scale)
  // A quarter of a kilobyte is no whole number of it, but it is one of bytes.
  return ticks.map((tick) => (unit === 'bytes' ? Math.round(tick) : tick))
}

/** Round times between two, at most about eight. */
export function timeTicks(from: number, to: number): number[] {
  const step = STEPS_MS.find((one) => (to - from) / one <= 8) ?? Math.ceil((to - from) / 8 / 86_400_000) * 86_400_000
  const ticks: number[] = []
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at)
  return ticks
}

/** At most so many points; of those that fall together the highest stays, so that no peak is hidden. */
function thin(points: readonly Point[]): Point[] {
  const each = Math.ceil(points.length / POINTS)
  const kept: Point[] = []
  for (let from = 0; from < points.length; from += each)
    kept.push(points.slice(from, from + each).reduce((high, point) => (point[1] > high[1] ? point : high)))
  return kept
}

function lines(points: readonly Point[]): Point[][] {
  const parts: Point[][] = []
  for (const [i, point] of points.entries())
    if (i === 0 || point[0] - points[i - 1][0] > GAP_MS) parts.push([point])
    else parts[parts.length - 1].push(point)
  return parts
}

function valueText(value: number, unit: Chart['unit']): string {
  if (unit === 'bytes') return formatBytes(value)
  if (unit === 'ms') return value < 10 && !Number.isInteger(value) ? `${value} ms` : formatDuration(value)
  return Number.isInteger(value) ? formatCount(value) : String(value)
}

/** One curve over time, with a grid, the phases behind it and marks for what happened. */
export function chart({ title, unit, points, bands, marks }: Chart): string {
  if (points.length < 2) return `<h3>${markup(title)}</h3><p class="none">Too few samples for a chart.</p>`
  const first = points[0][0]
  const last = points[points.length - 1][0]
  const ticks = valueTicks(points.reduce((most, [, value]) => Math.max(most, value), 0) || 1, unit)
  const high = ticks[ticks.length - 1]
  const x = (at: number): string => (((at - first) / Math.max(1, last - first)) * WIDTH).toFixed(1)
  const y = (value: number): string => (HEIGHT - (value / high) * HEIGHT).toFixed(1)
  const inside = (at: number): number => Math.min(last, Math.max(first, at))
  const stretches = bands
    .filter(({ from, to }) => to > first && from < last)
    .map(
      ({ phase, from, to }, i) =>
        `<rect class="band${i % 2 === 0 ? '' : ' odd'}" x="${x(inside(from))}" y="0" width="${(Number(x(inside(to))) - Number(x(inside(from)))).toFixed(1)}" height="${HEIGHT}"><title>${markup(`${phaseWords(phase)}, ${formatTime(from)} to ${formatTime(to)}`)}</title></rect>`,
    )
  const times = timeTicks(first, last)
  const sameDay = new Date(first).toISOString().slice(0, 10) === new Date(last).toISOString().slice(0, 10)
  let labelled = Number.NEGATIVE_INFINITY
  const label = (at: number): string => (sameDay ? formatTime(at).slice(11) : formatTime(at).slice(5, 16))
  return `<h3>${markup(title)}</h3><svg viewBox="-70 -16 ${WIDTH + 86} ${HEIGHT + 40}" role="img" aria-label="${markup(title)}">
<rect width="${WIDTH}" height="${HEIGHT}" class="frame"/>${stretches.join('')}
${ticks.map((value) => `<line class="grid" x1="0" x2="${WIDTH}" y1="${y(value)}" y2="${y(value)}"/><text x="-8" y="${(Number(y(value)) + 4).toFixed(1)}" class="end">${markup(valueText(value, unit))}</text>`).join('')}
${times.map((at) => `<line class="grid" x1="${x(at)}" x2="${x(at)}" y1="0" y2="${HEIGHT}"/><text x="${x(at)}" y="${HEIGHT + 18}" class="middle">${label(at)}</text>`).join('')}
${lines(thin(points))
  .map((part) => `<polyline points="${part.map(([at, value]) => `${x(at)},${y(value)}`).join(' ')}"/>`)
  .join('')}
${marks
  // What ends a run comes after its last sample.
  .filter(({ at }) => at >= first && at <= last + GAP_MS)
  .map(({ at, text }) => {
    const place = x(inside(at))
    const shown = Number(place) - labelled >= LABEL
    if (shown) labelled = Number(place)
    return `<line class="mark" x1="${place}" x2="${place}" y1="0" y2="${HEIGHT}"><title>${markup(`${text}, ${formatTime(at)}`)}</title></line>${shown ? `<text x="${place}" y="-4" class="${at > (first + last) / 2 ? 'end' : ''}">${markup(text)}</text>` : ''}`
  })
  .join('')}</svg>`
}
