import type { Answers } from '@ferrite-migrate/api'
import {
  eventMarks,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  phaseBands,
  phaseTimeline,
  runCharts,
} from '@ferrite-migrate/core/page'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Connection, Reach } from '../client/connection.js'
import { useAsked } from '../client/use-asked.js'
import { Afterwards } from '../parts/afterwards.js'
import { Badge } from '../parts/badge.js'
import { EventsPart } from '../parts/events-part.js'
import { Html } from '../parts/html.js'
import { LostPart } from '../parts/lost-part.js'
import { PlanPart } from '../parts/plan-part.js'
import { Problem } from '../parts/problem.js'
import { Progress } from '../parts/progress.js'
import { ShardsPart } from '../parts/shards-part.js'
import { lagText, rateText } from '../parts/status-words.js'
import { VerificationPart } from '../parts/verification-part.js'
import { Actions } from './actions.js'
import { AnalysisView } from './analysis-view.js'

const EVERY_MS = 1000
/** As many as a curve can show. */
const SAMPLES = 20_000

interface ViewProps {
  readonly id: string
  readonly connection: Connection
  readonly reach: Reach
}

interface Seen {
  readonly report: Answers['migration.report']
  readonly metrics: Answers['migration.metrics']['samples']
  readonly events: Answers['migration.events']['events']
  readonly samples: Answers['migration.samples']['samples']
}

/** All that is known of one migration, each second anew: of events and samples only what is new. */
export function MigrationView({ id, connection, reach }: ViewProps) {
  const events = useRef<Seen['events']>([])
  const samples = useRef<Seen['samples']>([])
  const [problem, setProblem] = useState<unknown>(null)
  const seen = useAsked<Seen>(
    async () => {
      try {
        const [report, metrics, newEvents, newSamples] = await Promise.all([
          connection.ask('migration.report', { id }),
          connection.ask('migration.metrics', { id }),
          connection.ask('migration.events', { id, after: events.current.at(-1)?.number ?? 0 }),
          connection.ask('migration.samples', { id, after: samples.current.at(-1)?.at ?? 0 }),
        ])
        // Two looks may be under way at once: what one has brought the other does not bring again.
        const lastEvent = events.current.at(-1)?.number ?? 0
        const lastSample = samples.current.at(-1)?.at ?? 0
        events.current = [...events.current, ...newEvents.events.filter(({ number }) => number > lastEvent)]
        samples.current = [...samples.current, ...newSamples.samples.filter(({ at }) => at > lastSample)].slice(
          -SAMPLES,
        )
        setProblem(null)
        return { report, metrics: metrics.samples, events: events.current, samples: samples.current }
      } catch (error) {
        if (reach === 'open') setProblem(error)
        throw error
      }
    },
    EVERY_MS,
    reach,
  )
  const title = seen === null ? id : `${id}: ${seen.report.status.phase}`
  useEffect(() => {
    document.title = `${title} – ferrite-migrate`
    return () => {
      document.title = 'ferrite-migrate'
    }
  }, [title])
  if (seen === null)
    return (
      <>
        <h1>{id}</h1>
        <Problem of={problem} />
        {problem === null && <p class="none">Asking …</p>}
      </>
    )
  const { status, plan, report } = seen.report
  // One of the same name may have been there before.
  const own = seen.events.filter(({ at }) => at >= status.startedAt)
  const bands = phaseBands(own, seen.samples, status.state === 'RUNNING' ? Date.now() : status.updatedAt)
  const marks = eventMarks(own)
  const figures: [string, preact.ComponentChildren][] = [
    ['First copy', <Progress key="progress" percent={status.progress} />],
    ['Keys read', formatCount(status.keysDone)],
    ['Writes of keys', formatCount(status.keysWritten)],
    ['Changes applied', formatCount(status.changesApplied)],
    ...(status.state === 'RUNNING'
      ? ([
          ['Rate', rateText(status)],
          ['Behind', lagText(status)],
          [
            'Time left',
            status.phase === 'LIVE_SYNC' ? '-' : status.etaMs === null ? 'not told' : formatDuration(status.etaMs),
          ],
        ] as [string, string][])
      : []),
    ['Read', formatBytes(status.bytesDone + status.changeBytes)],
    ['Spool', formatBytes(status.spoolBytes)],
    ['Failed', formatCount(status.keysFailed)],
    ...(report?.cutover?.downtimeMs == null
      ? []
      : ([['Writers waited', formatDuration(report.cutover.downtimeMs)]] as [string, string][])),
  ]
  return (
    <>
      <div class="bar-of-buttons">
        <h1>
          {id} <Badge status={status} />
        </h1>
        <Actions connection={connection} status={status} away={reach !== 'open'} />
      </div>
      {reach !== 'open' && (
        <p class="stale" role="status">
          The service is out of reach: this is how it was at {formatTime(status.updatedAt)} UTC.
        </p>
      )}
      <p class="ends">
        {status.source} <span aria-hidden="true">→</span>
        <span class="unseen">to</span> {status.target}
      </p>
      <Afterwards status={status} events={own} rollback={report?.rollback ?? null} />
      <Problem of={status.error} />
      <Problem of={problem} />
      <dl class="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <h2>Phases</h2>
      <Html of={phaseTimeline(bands, marks)} />
      <h2>Rate and lag</h2>
      <Html class="curves" of={runCharts(seen.samples, bands, marks)} />
      <ShardsPart metrics={seen.metrics} />
      {report !== null && <LostPart report={report} failed={status.keysFailed} />}
      {report !== null && (
        <VerificationPart
          report={report.cutover?.verification ?? report.verification}
          rolledBack={status.state === 'ROLLED_BACK'}
        />
      )}
      {plan !== null && (
        <>
          <h2>Plan</h2>
          <PlanPart plan={plan} />
        </>
      )}
      <AnalysisView id={id} connection={connection} />
      <EventsPart events={seen.events} />
    </>
  )
}
