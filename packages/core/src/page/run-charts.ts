import { type Band, chart, type Mark, type Point } from './html-chart.js'
import { isOver } from './phase-timeline.js'

/** What was measured at one moment. */
interface MeasuredMoment {
  readonly at: number
  readonly phase: string
  readonly changes: number
  readonly rate: number
  readonly lagKeys: number | null
  readonly lagBytes: number | null
  readonly lagMs: number | null
}

/** Changes a second, from how many there were at each moment. */
function changeRates(samples: readonly MeasuredMoment[]): Point[] {
  return samples.flatMap((sample, i): Point[] => {
    const former = samples[i - 1]
    if (former === undefined || sample.at <= former.at || sample.changes < former.changes) return []
    return [[sample.at, ((sample.changes - former.changes) * 1000) / (sample.at - former.at)]]
  })
}

/** Rate and lag of a run over time; what was never measured, or once only, has no curve. */
export function runCharts(samples: readonly MeasuredMoment[], bands: readonly Band[], marks: readonly Mark[]): string {
  const of = (list: readonly MeasuredMoment[], pick: (sample: MeasuredMoment) => number | null): Point[] =>
    list.flatMap((sample): Point[] => {
      const value = pick(sample)
      return value === null ? [] : [[sample.at, value]]
    })
  const copying = samples.filter(({ phase }) => phase === 'INITIAL_SYNC')
  // The first copy is so much faster that what follows would be a flat line beside it.
  const following = samples.filter(({ phase }) => phase !== 'INITIAL_SYNC' && phase !== 'PREFLIGHT' && !isOver(phase))
  const curves = [
    { title: 'First copy: keys per second', unit: 'per second', points: of(copying, ({ rate }) => rate) },
    { title: 'Following: changes per second', unit: 'per second', points: changeRates(following) },
    { title: 'Behind, in keys or changes', unit: 'keys', points: of(following, ({ lagKeys }) => lagKeys) },
    { title: 'Behind, in bytes', unit: 'bytes', points: of(following, ({ lagBytes }) => lagBytes) },
    { title: 'Behind, in time', unit: 'ms', points: of(following, ({ lagMs }) => lagMs) },
  ] as const
  const drawn = curves.filter(({ points }) => points.length > 1)
  if (drawn.length === 0) return '<p class="none">It was over, or has begun, too soon for a curve.</p>'
  return drawn.map((curve) => `<div class="curve">${chart({ ...curve, bands, marks })}</div>`).join('')
}
