import { counted } from '@ferrite-migrate/contracts'
import { failureKinds } from '../page/failure-kinds.js'
import { formatBytes, formatCount, formatDuration, formatTime } from '../page/words.js'
import type { RollbackReport } from '../rollback/rollback.js'
import type { StoredMigration } from '../state/run-facts.js'
import { outcome } from './outcome.js'
import type { MigrationDetails, StoredReport } from './stored-report.js'

const SHOWN = 10

/** Text as Markdown shows it and as nothing else. */
function plain(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|~!&]/g, (letter) => `&#${letter.charCodeAt(0)};`).replace(/\s+/g, ' ')
}

/** Names of keys and reasons are other people's: as code, where nothing becomes a link and nobody is called. */
function code(text: string): string {
  const line = text.replace(/\s+/g, ' ').replaceAll('|', '\\|')
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = '`'.repeat(longest + 1)
  return line.trim() === '' ? '' : `${fence} ${line} ${fence}`
}

/** @param cells as Markdown */
function table(rows: readonly (readonly string[])[], head: readonly string[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n')
}

function lost({ notCarried, failures }: StoredReport): string[] {
  return [
    ...(notCarried.length === 0
      ? []
      : [
          '### Not carried',
          table(
            notCarried.map(({ what, count, examples }) => [
              plain(what),
              formatCount(count),
              code(examples.slice(0, 3).join(', ')),
            ]),
            ['What', 'Count', 'Such as'],
          ),
        ]),
    ...(failures.length === 0
      ? []
      : [
          '### Failures by kind',
          table(
            failureKinds(failures)
              .slice(0, SHOWN)
              .map(({ reason, keys }) => [code(reason), formatCount(keys.length), code(keys.slice(0, 3).join(', '))]),
            ['Why', 'Keys', 'Such as'],
          ),
        ]),
  ]
}

/** What a rollback has left, and what can be done about it. */
function leftAlone(id: string, rollback: RollbackReport | null): string[] {
  if (rollback === null || rollback.kept === 0) return []
  return [
    '### Left alone',
    `${counted(rollback.kept, 'key')}: not what the source has now, so that somebody has written them since, at the target, or at the source where writers still go there. If they did only there, \`ferrite-migrate rollback --id ${id} --force\` undoes these too.`,
    code(rollback.keptExamples.join(', ')),
  ]
}

/** How a migration ended, in as much as the summary of a job or a ticket can hold. */
export function markdownReport(
  { id, source, target, createdAt, heartbeatAt, status }: StoredMigration,
  { report }: MigrationDetails,
): string {
  const verification = report?.cutover?.verification ?? report?.verification ?? null
  const [kind, word] = outcome(status, verification, report?.rollback ?? null)
  const mark = { good: '✅', warn: '⚠️', bad: '❌' }[kind]
  const cutover = report?.cutover ?? null
  const rows = [
    ['Source', source],
    ['Target', target],
    ['Started', `${formatTime(createdAt)} UTC`],
    ...(status.state === 'ROLLED_BACK' ? [] : [['Took', formatDuration(heartbeatAt - createdAt)]]),
    [
      'Keys read',
      status.keysTotal === null
        ? formatCount(status.keysDone)
        : `${formatCount(status.keysDone)} of ${formatCount(status.keysTotal)}`,
    ],
    ['Read', formatBytes(status.bytesDone + status.changeBytes)],
    ['Changes applied', formatCount(status.changesApplied)],
    ['Failed', formatCount(status.keysFailed)],
    ...(verification === null
      ? []
      : [
          ['Compared', formatCount(verification.compared)],
          ['Different', formatCount(verification.mismatched + verification.missingSource + verification.missingTarget)],
        ]),
    ...(cutover === null || cutover.dryRun
      ? []
      : [
          [
            'Writers waited',
            cutover.downtimeMs === null ? 'they were not kept out' : formatDuration(cutover.downtimeMs),
          ],
        ]),
    ...(status.error === null ? [] : [['Error', `${status.error.code}: ${status.error.message} ${status.error.hint}`]]),
  ]
  const differences = verification?.differences ?? []
  return [
    `## ${mark} Migration ${plain(id)}: ${plain(word)}`,
    table(
      rows.map(([name, value]) => [name, plain(value)]),
      ['', ''],
    ),
    ...(differences.length === 0
      ? []
      : [
          `### Differences${differences.length > SHOWN ? `, the first ${SHOWN}` : ''}`,
          table(
            differences
              .slice(0, SHOWN)
              .map(({ key, db, kind: what, detail }) => [code(key), String(db), what, code(detail)]),
            ['Key', 'Database', 'Kind', 'What'],
          ),
        ]),
    ...(report === null ? [] : lost(report)),
    ...leftAlone(id, report?.rollback ?? null),
    '',
  ].join('\n\n')
}
