import { counted } from '@ferrite-migrate/contracts'
import { failureKinds } from '../page/failure-kinds.js'
import { htmlPage, htmlTable, markup, verdict } from '../page/html-page.js'
import { eventMarks, phaseBands, phaseTimeline } from '../page/phase-timeline.js'
import { runCharts } from '../page/run-charts.js'
import {
  applyText,
  captureText,
  eventText,
  filterWords,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  levelText,
} from '../page/words.js'
import type { RollbackReport } from '../rollback/rollback.js'
import type { Pass, Sample, StoredEvent, StoredMigration } from '../state/run-facts.js'
import type { MigrationStatus } from '../state/status.js'
import type { VerifyReport } from '../verify/verify-report.js'
import { outcome } from './outcome.js'
import type { MigrationDetails, StoredReport } from './stored-report.js'

function verificationPart(report: VerifyReport, since: number | null, before: boolean): string {
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
  return `<h2>Verification${before ? ', before the rollback' : ''}</h2>${htmlTable(rows)}${
    differences.length === 0
      ? ''
      : `<h3>Differences</h3>${htmlTable(
          differences.map(({ kind, key, db, detail }) => [key, String(db), kind, detail]),
          ['Key', 'Database', 'Kind', 'What'],
        )}${all > differences.length ? `<p class="none">and ${formatCount(all - differences.length)} more</p>` : ''}`
  }`
}

interface CutoverTry {
  readonly at: number
  readonly actor: string
  readonly steps: StoredEvent[]
  /** How it ended, where it was no cutover. */
  ended: string | null
}

/** Each time that a cutover was asked for, dry runs and those that were called off among them. */
function cutoverTries(events: readonly StoredEvent[]): CutoverTry[] {
  const tries: CutoverTry[] = []
  for (const event of events) {
    const { at, type, text, actor } = event
    const last = tries.at(-1)
    if (type === 'asked-cutover' || (last === undefined && /^cutover-(?!scheduled|due|missed)/.test(type)))
      tries.push({ at, actor, steps: [], ended: null })
    const now = tries.at(-1)
    if (now === undefined || !/^cutover-(?!scheduled|due|missed)/.test(type)) continue
    if (type === 'cutover-failed') now.ended = text
    else now.steps.push(event)
    if (type === 'cutover-done' && text.startsWith('dry run')) now.ended = text
  }
  return tries.filter(({ steps, ended }) => steps.length > 0 || ended !== null)
}

/** What writers of the source meet now. */
function afterwards(steps: readonly StoredEvent[]): string {
  if (steps.some(({ type, text }) => type === 'cutover-release' && /\(done\)/.test(text)))
    return 'the source took writes again, which nothing carries to the target any more'
  return steps.some(({ type }) => type === 'cutover-keep-fence')
    ? 'the source is kept from taking writes'
    : 'see the steps'
}

const LEFT_ALONE =
  'They are not what the source has now, so that somebody has written them since: at the target, or at the source, where writers still go there. If they did only there, a rollback by force undoes these too.'

/** A measured stretch of a cutover, from the step before. */
function cutoverPart(report: StoredReport | null, events: readonly StoredEvent[]): string {
  const tries = cutoverTries(events)
  const steps = tries.at(-1)?.steps ?? []
  const cutover = report?.cutover ?? null
  if (steps.length === 0 && cutover === null) return ''
  const facts =
    cutover === null || cutover.dryRun
      ? []
      : [
          [
            'Writers waited',
            cutover.downtimeMs === null
              ? 'they were not kept out'
              : `${formatDuration(cutover.downtimeMs)}, from the fence to the moment when the target was the one to write to`,
          ],
          ['Fence', cutover.fence],
          [
            'Written past the fence',
            cutover.slipped.keys.length === 0
              ? 'nothing'
              : `${cutover.slipped.keys.join(', ')}${cutover.slipped.more ? ' and more' : ''}`,
          ],
          ['Asked for by', tries.at(-1)?.actor ?? '-'],
          ['Afterwards', afterwards(steps)],
        ]
  return `<h2>Cutover</h2>${facts.length === 0 ? '' : htmlTable(facts)}${
    steps.length === 0
      ? ''
      : htmlTable(
          steps.map(({ at, type, text }, i) => [
            `+${((at - steps[0].at) / 1000).toFixed(3)} s`,
            i === 0 ? '-' : `${at - steps[i - 1].at} ms`,
            type.slice('cutover-'.length),
            text,
          ]),
          ['After', 'Took', 'Step', 'What'],
        )
  }${
    tries.length < 2
      ? ''
      : `<h3>Tried before</h3>${htmlTable(
          tries
            .slice(0, -1)
            .map(({ at, actor, ended }) => [formatTime(at), ended ?? 'it did not come to an end', actor]),
          ['Time (UTC)', 'How it ended', 'Asked for by'],
        )}`
  }`
}

function failuresPart(failures: StoredReport['failures'], all: number): string {
  if (failures.length === 0) return ''
  const more = all - failures.length
  return `<h2>Failures by kind</h2>${htmlTable(
    failureKinds(failures).map(({ reason, keys }) => [reason, formatCount(keys.length), keys.slice(0, 3).join(', ')]),
    ['Why', 'Keys', 'Such as'],
  )}${more > 0 ? `<p class="none">of ${formatCount(failures.length)} that are kept; ${formatCount(more)} more are counted</p>` : ''}<details><summary>Each of them</summary>${htmlTable(
    failures.map(({ key, db, reason }) => [key, String(db), reason]),
    ['Key', 'Database', 'Why'],
  )}</details>`
}

function rollbackPart({ removed, restored, unchanged, kept, keptExamples, failed }: RollbackReport): string {
  const rows = [
    ['Removed', formatCount(removed)],
    ['Restored', formatCount(restored)],
    ['As before already', formatCount(unchanged)],
    ['Left alone, since others wrote them', formatCount(kept)],
    ['Failed', formatCount(failed)],
  ]
  return `<h2>Rollback</h2>${htmlTable(rows)}${
    kept === 0
      ? ''
      : `<p>${markup(LEFT_ALONE)}</p><details><summary>Such as</summary><p>${markup(keptExamples.join(', '))}</p></details>`
  }`
}

/** What is to be done about a run that did not come to its end. */
function nextPart({ id, state, keysWritten }: MigrationStatus): string {
  if (state !== 'FAILED' && state !== 'INTERRUPTED') return ''
  const written =
    keysWritten > 0 ? [['At the target', `${counted(keysWritten, 'key')} of it, until it is taken back`]] : []
  return `<h2>What next</h2>${htmlTable([
    ...written,
    ['Go on', `ferrite-migrate migrate --resume ${id}`],
    ['Take back', `ferrite-migrate rollback --id ${id}`],
  ])}`
}

/** What people and programs asked of it, and who they are. */
function askedPart(events: readonly StoredEvent[]): string {
  const asked = events.filter(({ type }) =>
    /^(asked-.+|started|stopped|paused|resumed|put-back|rollback|rolled-back|cutover-(scheduled|due|missed|done|failed))$/.test(
      type,
    ),
  )
  return asked.length === 0
    ? ''
    : `<h2>Who did what</h2>${htmlTable(
        asked.map((event) => [formatTime(event.at), event.actor, event.type, eventText(event)]),
        ['Time (UTC)', 'Who', 'What', 'Details'],
      )}`
}

function lostPart({ notCarried, failures, passed }: StoredReport, all: number): string {
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
    failuresPart(failures, all),
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
  return `<h2>Plan</h2>${htmlTable([
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
          findings.map(({ level, code, text }) => [levelText(level), code, text]),
          ['', 'Code', 'What'],
        )}`
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
  // One of the same name may have been there before.
  const own = events.filter(({ at }) => at >= migration.createdAt)
  const bands = phaseBands(own, samples, migration.heartbeatAt)
  const [kind, word] = outcome(status, verification, report?.rollback ?? null)
  const pause = report?.cutover?.downtimeMs ?? null
  const second: [string, string] =
    report?.cutover != null && !report.cutover.dryRun
      ? ['Writers waited', pause === null ? 'not kept out' : formatDuration(pause)]
      : status.mode === 'snapshot'
        ? ['Left out', formatCount(status.keysLeftOut ?? 0)]
        : status.state === 'RUNNING'
          ? ['Behind', status.lagMs === null ? 'not told' : formatDuration(status.lagMs)]
          : ['Changes', formatCount(status.changesApplied)]
  const marks = eventMarks(own)
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
  return htmlPage(
    `Migration ${migration.id}`,
    `<h1>Migration ${markup(migration.id)}</h1>${verdict(kind, word, [['Keys', formatCount(status.keysDone)], second, ['Took', formatDuration(running)]])}
${htmlTable(facts)}
${nextPart(status)}
${settingsPart(details)}
<h2>Phases</h2>${phaseTimeline(bands, marks)}
${cutoverPart(report, own)}
${verification === null ? '' : verificationPart(verification, report?.changesSinceVerification ?? null, status.state === 'ROLLED_BACK')}
${report === null ? '' : lostPart(report, status.keysFailed)}
${report?.rollback == null ? '' : rollbackPart(report.rollback)}
<h2>Rate and lag</h2>${runCharts(samples, bands, marks)}
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
${askedPart(events)}
<h2>Audit trail</h2>${htmlTable(
      events.map((event) => [formatTime(event.at), event.type, eventText(event), event.actor]),
      ['Time (UTC)', 'Event', 'What', 'Who'],
    )}`,
  )
}
