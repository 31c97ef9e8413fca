import { counted } from '@ferrite-migrate/contracts'
import { type Band, chart, type Mark, type Point } from '../report/html-chart.js'
import { htmlPage, htmlTable, markup, verdict } from '../report/html-page.js'
import {
  applyText,
  captureText,
  eventText,
  filterWords,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  phaseWords,
} from '../report/words.js'
import type { Pass, Sample, StoredEvent, StoredMigration } from '../state/run-facts.js'
import type { MigrationStatus } from '../state/status.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { MigrationDetails, StoredReport } from './stored-report.js'

/** Phases in which nothing runs any more. */
const OVER = new Set(['COMPLETED', 'FAILED', 'INTERRUPTED', 'ROLLED_BACK'])
/** Events that stand in the charts. */
const MARKS: Readonly<Record<string, string>> = {
  'cutover-done': 'cutover',
  paused: 'paused',
  resumed: 'resumed',
  'lag-alarm': 'lag alarm',
}

/** The phases of a run as stretches of time; when its process was away there is none. */
export function phaseBands(events: readonly StoredEvent[], samples: readonly Sample[], until: number): Band[] {
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

/** `2m 13s (first copy 1m 58s, following the source 14s)`: what it ran, without the time in which it did not. */
function tookText(bands: readonly Band[]): string {
  const times = new Map<string, number>()
  for (const { phase, from, to } of bands) times.set(phase, (times.get(phase) ?? 0) + to - from)
  const total = [...times.values()].reduce((sum, ms) => sum + ms, 0)
  const parts = [...times]
    .filter(([, ms]) => ms >= 1)
    .map(([phase, ms]) => `${phaseWords(phase)} ${formatDuration(ms)}`)
  return parts.length > 1 ? `${formatDuration(total)} (${parts.join(', ')})` : formatDuration(total)
}

function outcome(status: MigrationStatus, verification: VerifyReport | null): ['good' | 'bad' | 'warn', string] {
  const { state } = status
  if (state !== 'COMPLETED') return [state === 'FAILED' ? 'bad' : 'warn', state.replace('_', ' ')]
  if (verification === null) return ['warn', 'COMPLETED, not verified']
  if (!verification.complete || verification.nothing)
    return ['warn', 'COMPLETED, the verification did not come to an end']
  return verification.equal ? ['good', 'COMPLETED, VERIFIED'] : ['bad', 'COMPLETED, WITH DIFFERENCES']
}

function verificationPart(report: VerifyReport, since: number | null): string {
  const rows = [
    ['Compared', formatCount(report.compared)],
    ['Equal', formatCount(report.matching)],
    ['Different', formatCount(report.mismatched)],
    ['Missing at the target', formatCount(report.missingTarget)],
    ['Only at the target', formatCount(report.missingSource)],
    ...(report.leftOut > 0 ? [['Left out by a rule or script, not compared', formatCount(report.leftOut)]] : []),
    ...(report.foreign > 0 ? [['Only at the target, there before', formatCount(report.foreign)]] : []),
    ['When', `${formatTime(report.at)} UTC`],
    ...(since ? [['Changes applied since', formatCount(since)]] : []),
  ]
  const { differences } = report
  const all = report.mismatched + report.missingTarget + report.missingSource
  return `<h2>Verification</h2>${htmlTable(rows)}${
    differences.length === 0
      ? ''
      : `<h3>Differences</h3>${htmlTable(
          differences.map(({ kind, key, db, detail }) => [key, String(db), kind, detail]),
          ['Key', 'Database', 'Kind', 'What'],
        )}${all > differences.length ? `<p class="none">and ${formatCount(all - differences.length)} more</p>` : ''}`
  }`
}

function lostPart({ notCarried, failures, passed }: StoredReport): string {
  const rows = [
    ...notCarried.map(({ what, count, examples }) => [what, 'left out', formatCount(count), examples.join(', ')]),
    ...(passed.count > 0
      ? [
          [
            'values that no rule could change',
            'carried as they were',
            formatCount(passed.count),
            passed.examples.join(', '),
          ],
        ]
      : []),
  ]
  return [
    rows.length === 0 ? '' : `<h2>Not carried</h2>${htmlTable(rows, ['What', 'Done', 'Count', 'Such as'])}`,
    failures.length === 0
      ? ''
      : `<h2>Failed keys</h2>${htmlTable(
          failures.map(({ key, db, reason }) => [key, String(db), reason]),
          ['Key', 'Database', 'Why'],
        )}`,
  ].join('')
}

function settingsPart({ plan }: MigrationDetails): string {
  if (plan === null) return ''
  const filters = filterWords(plan.filter)
  const facts = (from: Readonly<Record<string, string>>, whose: string): string[][] =>
    Object.entries(from)
      .filter(([name]) => !/^(rdbTypes|setPxat)$/.test(name))
      .map(([name, value]) => [`${whose}: ${name}`, value])
  const { findings } = plan
  return `<h2>Settings</h2>${htmlTable([
    ['Mode', plan.mode],
    ['Filters', filters.length > 0 ? filters.join('; ') : 'none'],
    ...(plan.transforms.length > 0 ? [['Transforms', plan.transforms.join('; ')]] : []),
    ['Keys that are there', plan.onConflict],
    ['At once', `${counted(plan.lanes, 'lane')}, ${formatCount(plan.batchSize)} keys a batch`],
    ...plan.reasons.map((reason) => ['Because', reason]),
    ...facts(plan.sourceFacts, 'Source'),
    ...facts(plan.targetFacts, 'Target'),
  ])}${
    findings.length === 0
      ? ''
      : `<h3>Checks</h3>${htmlTable(
          findings.map(({ level, code, text }) => [
            level === 'info' ? 'note' : level === 'warn' ? 'warning' : 'refused',
            code,
            text,
          ]),
          ['', 'Code', 'What'],
        )}`
  }`
}

/** Changes a second, from how many there were at each sample. */
function changeRates(samples: readonly Sample[]): Point[] {
  return samples.flatMap((sample, i): Point[] => {
    const former = samples[i - 1]
    if (former === undefined || sample.at <= former.at || sample.changes < former.changes) return []
    return [[sample.at, ((sample.changes - former.changes) * 1000) / (sample.at - former.at)]]
  })
}

function chartsPart(samples: readonly Sample[], events: readonly StoredEvent[], bands: readonly Band[]): string {
  const marks: Mark[] = events.flatMap(({ at, type }) => (type in MARKS ? [{ at, text: MARKS[type] }] : []))
  const of = (list: readonly Sample[], pick: (sample: Sample) => number | null): Point[] =>
    list.flatMap((sample): Point[] => {
      const value = pick(sample)
      return value === null ? [] : [[sample.at, value]]
    })
  const copying = samples.filter(({ phase }) => phase === 'INITIAL_SYNC')
  // The first copy is so much faster that what follows would be a flat line beside it.
  const following = samples.filter(({ phase }) => phase !== 'INITIAL_SYNC' && phase !== 'PREFLIGHT' && !OVER.has(phase))
  const live = following.some(({ lagBytes, lagMs, lagKeys }) => lagBytes !== null || lagMs !== null || lagKeys !== null)
  const draw = (title: string, unit: 'per second' | 'bytes' | 'ms', points: Point[]): string =>
    chart({ title, unit, points, bands, marks })
  return `<h2>Over time</h2>${draw(
    'First copy: keys per second',
    'per second',
    of(copying, ({ rate }) => rate),
  )}${
    live
      ? draw('Following: changes per second', 'per second', changeRates(following)) +
        draw(
          'Behind, in bytes',
          'bytes',
          of(following, ({ lagBytes }) => lagBytes),
        ) +
        draw(
          'Behind, in time',
          'ms',
          of(following, ({ lagMs }) => lagMs),
        )
      : ''
  }`
}

/**
 * One page that needs nothing else: how a migration ended, what was written, verified and left out, how fast it went, how far
 * behind it was, with which settings, and its audit trail.
 */
export function htmlReport(
  migration: StoredMigration,
  details: MigrationDetails,
  samples: readonly Sample[],
  events: readonly StoredEvent[],
  passes: readonly Pass[],
): string {
  const { status } = migration
  const { report } = details
  const verification = report?.cutover?.verification ?? report?.verification ?? null
  const bands = phaseBands(events, samples, migration.heartbeatAt)
  const [kind, word] = outcome(status, verification)
  const pause = report?.cutover?.downtimeMs ?? null
  const second: [string, string] =
    report?.cutover != null && !report.cutover.dryRun
      ? ['Writers waited', pause === null ? 'not kept out' : formatDuration(pause)]
      : status.mode === 'snapshot'
        ? ['Left out', formatCount(status.keysLeftOut ?? 0)]
        : ['Behind', status.lagMs === null ? 'not told' : formatDuration(status.lagMs)]
  const running = bands.reduce((sum, { from, to }) => sum + to - from, 0)
  const facts = [
    ['Source', migration.source],
    ['Target', migration.target],
    [
      'How',
      status.mode === 'snapshot' && status.capture === 'psync'
        ? 'a snapshot by replication'
        : `${captureText(status.capture)}, ${applyText(status.apply)}`,
    ],
    ['Started', `${formatTime(migration.createdAt)} UTC`],
    ['Last sign of life', `${formatTime(migration.heartbeatAt)} UTC`],
    ['Took', tookText(bands)],
    [
      'Read',
      `${counted(status.keysDone, 'key')}${status.keysTotal === null ? '' : ` of ${formatCount(status.keysTotal)}`}, ${formatBytes(status.bytesDone + status.changeBytes)}`,
    ],
    ['Written', formatCount(status.keysWritten)],
    ['Filtered out', formatCount(status.keysFiltered ?? 0)],
    ['Left out', formatCount(status.keysLeftOut ?? 0)],
    ['Already there', formatCount(status.keysKept ?? 0)],
    ['Skipped', formatCount(status.keysSkipped)],
    ['Deleted', formatCount(status.keysDeleted)],
    ['Failed', formatCount(status.keysFailed)],
    ['Changes applied', formatCount(status.changesApplied)],
    ...(status.changesSplit ? [['Over several slots', formatCount(status.changesSplit)]] : []),
    ...(status.error === null
      ? []
      : [
          ['Error', `${status.error.code}: ${status.error.message}`],
          ['What to do', status.error.hint],
        ]),
  ]
  const steps = events.filter(({ type }) => /^cutover-(?!scheduled|due|missed|failed)/.test(type))
  return htmlPage(
    `Migration ${migration.id}`,
    `<h1>Migration ${markup(migration.id)}</h1>${verdict(kind, word, [['Keys written', formatCount(status.keysWritten)], second, ['Took', formatDuration(running)]])}
${htmlTable(facts)}
${verification === null ? '' : verificationPart(verification, report?.changesSinceVerification ?? null)}
${
  steps.length === 0
    ? ''
    : `<h2>Cutover</h2>${htmlTable(
        steps.map(({ at, type, text }) => [
          `+${((at - steps[0].at) / 1000).toFixed(3)} s`,
          type.slice('cutover-'.length),
          text,
        ]),
        ['After', 'Step', 'What'],
      )}`
}
${report === null ? '' : lostPart(report)}
${
  report?.rollback == null
    ? ''
    : `<h2>Rollback</h2>${htmlTable([
        ['Removed', formatCount(report.rollback.removed)],
        ['Restored', formatCount(report.rollback.restored)],
        ['As before already', formatCount(report.rollback.unchanged)],
        ['Left alone, since others wrote them', formatCount(report.rollback.kept)],
        ['Failed', formatCount(report.rollback.failed)],
      ])}`
}
${chartsPart(samples, events, bands)}
${
  passes.length === 0
    ? ''
    : `<h2>Passes</h2>${htmlTable(
        passes.map((pass) => [
          String(pass.number),
          formatTime(pass.startedAt),
          formatDuration(pass.endedAt - pass.startedAt),
          pass.sync === 'partial' ? 'what had changed' : 'everything compared',
          formatCount(pass.changes),
          formatCount(pass.written),
          formatCount(pass.deleted),
        ]),
        ['Pass', 'Started (UTC)', 'Took', 'How', 'Changes', 'Written', 'Deleted'],
      )}`
}
${settingsPart(details)}
<h2>Audit trail</h2>${htmlTable(
      events.map((event) => [formatTime(event.at), event.type, eventText(event), event.actor]),
      ['Time (UTC)', 'Event', 'What', 'Who'],
    )}`,
  )
}
