import type { Band, Mark } from './html-chart.js'
import { markup } from './html-page.js'
import { formatDuration, formatTime, phaseWords } from './words.js'

/** An event of the audit trail, as far as time is concerned. */
interface TimedEvent {
  readonly at: number
  readonly type: string
  readonly text: string
}

/** Phases in which nothing runs any more. */
const OVER = new Set(['COMPLETED', 'FAILED', 'INTERRUPTED', 'ROLLED_BACK'])
/** Events that stand in pictures of time. */
const MARKS: Readonly<Record<string, string>> = {
  'cutover-done': 'cutover',
  paused: 'paused',
  resumed: 'resumed',
  'lag-alarm': 'lag alarm',
}
/** In the order of their colours in the style of the page. */
const COLOURED = [
  'PREFLIGHT',
  'INITIAL_SYNC',
  'LIVE_SYNC',
  'VERIFYING',
  'CUTOVER',
  'ROLLING_BACK',
  'WAITING',
  'STOPPING',
]

const WIDTH = 860
const HEIGHT = 34

/** Nothing of the run goes on in this phase. */
export function isOver(phase: string): boolean {
  return OVER.has(phase)
}

/** The phases of a run as stretches of time; when its process was away there is none. */
export function phaseBands(
  events: readonly TimedEvent[],
  samples: readonly { readonly at: number }[],
  until: number,
): Band[] {
  const bands: Band[] = []
  let open: { phase: string; from: number } | null = null
  const close = (to: number): void => {
    if (open !== null && to > open.from) bands.push({ ...open, to })
    open = null
  }
  for (const { at, type, text } of events)
    if (type === 'phase') {
      close(at)
      if (!OVER.has(text)) open = { phase: text, from: at }
    } else if (type === 'started') {
      // Of a process that was killed the last sample tells how long it ran.
      const last = samples.findLast((sample) => sample.at <= at)?.at
      if (open !== null) close(Math.min(at, last ?? at))
    }
  close(until)
  return bands
}

export function eventMarks(events: readonly TimedEvent[]): Mark[] {
  return events.flatMap(({ at, type, text }) =>
    // A look that changed nothing is no cutover.
    type in MARKS && !text.startsWith('dry run') ? [{ at, text: MARKS[type] }] : [],
  )
}

/** How long each phase took in all, in the order of their beginnings. */
export function phaseTimes(bands: readonly Band[]): { phase: string; ms: number }[] {
  const times = new Map<string, number>()
  for (const { phase, from, to } of bands) times.set(phase, (times.get(phase) ?? 0) + to - from)
  return [...times].map(([phase, ms]) => ({ phase, ms })).filter(({ ms }) => ms >= 1)
}

/** The phases on one line of time, with what each took below; gaps are times in which no process ran it. */
export function phaseTimeline(bands: readonly Band[], marks: readonly Mark[]): string {
  if (bands.length === 0) return '<p class="none">No phase has begun yet.</p>'
  const first = bands[0].from
  const last = Math.max(first + 1, bands[bands.length - 1].to)
  const x = (at: number): number => ((Math.min(last, Math.max(first, at)) - first) / (last - first)) * WIDTH
  const colour = (phase: string): string => `phase-${COLOURED.indexOf(phase)}`
  const rects = bands.map(({ phase, from, to }) => {
    // A phase of a moment is to be seen as well.
    const width = Math.max(2, x(to) - x(from))
    return `<rect class="${colour(phase)}" x="${Math.min(x(from), WIDTH - width).toFixed(1)}" y="0" width="${width.toFixed(1)}" height="${HEIGHT}"><title>${markup(`${phaseWords(phase)}: ${formatDuration(to - from)}, ${formatTime(from)} to ${formatTime(to)} UTC`)}</title></rect>`
  })
  const lines = marks
    .filter(({ at }) => at >= first && at <= last)
    .map(
      ({ at, text }) =>
        `<line class="mark" x1="${x(at).toFixed(1)}" x2="${x(at).toFixed(1)}" y1="-4" y2="${HEIGHT + 4}"><title>${markup(`${text}, ${formatTime(at)} UTC`)}</title></line>`,
    )
  const times = phaseTimes(bands)
  const spoken = times.map(({ phase, ms }) => `${phaseWords(phase)} ${formatDuration(ms)}`).join(', ')
  return `<svg class="phases" viewBox="0 -6 ${WIDTH} ${HEIGHT + 26}" role="img" aria-label="${markup(`Phases over time: ${spoken}`)}"><rect class="frame" x="0" y="0" width="${WIDTH}" height="${HEIGHT}"/>${rects.join('')}${lines.join('')}<text x="0" y="${HEIGHT + 16}">${formatTime(first)}</text><text class="end" x="${WIDTH}" y="${HEIGHT + 16}">${formatTime(last)} UTC</text></svg>
<ul class="legend">${times.map(({ phase, ms }) => `<li><span class="swatch ${colour(phase)}"></span>${markup(phaseWords(phase))} <strong>${formatDuration(ms)}</strong></li>`).join('')}</ul>`
}
