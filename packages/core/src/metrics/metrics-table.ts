import type { Lag } from '@ferrite-migrate/contracts'
import type { CutoverResult } from '../cutover/cutover.js'
import type { Plan } from '../ends/plan.js'
import type { Progress } from '../engine/progress/progress.js'
import type { SnapshotCount } from '../engine/progress/snapshot-counts.js'
import type { MigrationStatus, Phase } from '../state/status.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { Metric, MetricSample } from './metric.js'
import type { ShardCounts, ShardTally } from './shard-tally.js'

/** What is measured of shards, wherever they are run. */
export interface MeasuredWork {
  readonly progress: Progress
  readonly tally: ShardTally
}

/** What is measured. */
export interface MeasuredRun extends MeasuredWork {
  readonly status: MigrationStatus
  /** The last comparison; null = there was none. */
  readonly verification: VerifyReport | null
  readonly cutover: CutoverResult | null
  /** Null = it was not made yet. */
  readonly plan: Plan | null
  /** Batches that the target has not answered yet; null = unknown. */
  readonly underWay: number | null
}

/** A value, or several by their label (by all of their labels, where there are several); null = not known. */
type Reading = number | null | Iterable<readonly [label: string | readonly string[], value: number | null]>

interface RunRow extends Metric {
  readonly ofWork?: undefined
  /** It is so only while a process runs it: of one that is over it has no value. */
  readonly now?: true
  read(run: MeasuredRun): Reading
}

/** Whoever runs shards can tell it of those. */
interface WorkRow extends Metric {
  readonly now?: true
  readonly ofWork: true
  read(work: MeasuredWork): Reading
}

type Row = RunRow | WorkRow

const PHASES: readonly Phase[] = [
  ...(['PREFLIGHT', 'INITIAL_SYNC', 'LIVE_SYNC', 'VERIFYING', 'CUTOVER', 'WAITING', 'STOPPING'] as const),
  ...(['ROLLING_BACK', 'COMPLETED', 'FAILED', 'INTERRUPTED', 'ROLLED_BACK'] as const),
]

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000
}

function bit(yes: boolean): number {
  return yes ? 1 : 0
}

/** Of each shard what it has read of its snapshot. */
function ofSnapshot(field: SnapshotCount): WorkRow['read'] {
  return ({ progress }) => [...progress.shardCounts()].map(([shard, counts]) => [shard, counts[field]])
}

/** Of each shard what it has told. */
function ofShard(value: (counts: ShardCounts) => number | null): WorkRow['read'] {
  return ({ tally }) => [...tally.shards].map(([shard, counts]) => [shard, value(counts)])
}

function factsOf(end: string, facts: Plan['sourceFacts']): [string[], number][] {
  return Object.entries(facts).map(([fact, value]) => [[end, fact, value], 1])
}

function differencesOf({ mismatched, missingSource, missingTarget }: VerifyReport): [string, number][] {
  return [
    ['value', mismatched],
    ['missing-source', missingSource],
    ['missing-target', missingTarget],
  ]
}

/** Of each shard how far it is behind, as the last look told. */
function ofLag(value: (lag: Lag) => number | null): WorkRow['read'] {
  return ({ tally }) => [...tally.lags].map(([shard, lag]) => [shard, value(lag)])
}

/** What kind of failure it was: the words that a server or this tool begins its reason with, and nothing of a key. */
function kindsOf({ failures }: Progress): Map<string, number> {
  const kinds = new Map<string, number>()
  for (const { reason } of failures) {
    const kind = /^[A-Za-z_-]+/.exec(reason)?.[0] ?? 'other'
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  return kinds
}

const PHASE = 'ferrite_migrate_phase'

const ROWS: readonly Row[] = [
  {
    name: 'ferrite_migrate_run_info',
    kind: 'gauge',
    unit: 'yes or no',
    labels: ['source', 'target', 'mode', 'capture', 'apply'],
    help: 'What is moved where, and how: always 1.',
    read: ({ status: { source, target, mode, capture, apply } }) => [[[source, target, mode, capture, apply], 1]],
  },
  {
    name: 'ferrite_migrate_fact_info',
    kind: 'gauge',
    unit: 'yes or no',
    labels: ['end', 'fact', 'value'],
    help: 'What was found out of source and target by asking and by probes, as the plan shows it: always 1.',
    read: ({ plan }) =>
      plan === null ? null : [...factsOf('source', plan.sourceFacts), ...factsOf('target', plan.targetFacts)],
  },
  {
    name: PHASE,
    kind: 'gauge',
    unit: 'yes or no',
    labels: ['phase'],
    help: 'The phase that the run is in: 1 for that one, 0 for all others.',
    read: ({ status }) => PHASES.map((phase) => [phase, bit(phase === status.phase)]),
  },
  {
    name: 'ferrite_migrate_start_time_seconds',
    kind: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'When the migration began, since 1970.',
    read: ({ status }) => seconds(status.startedAt),
  },
  {
    name: 'ferrite_migrate_paused',
    now: true,
    kind: 'gauge',
    unit: 'yes or no',
    labels: [],
    help: 'Somebody paused it.',
    read: ({ status }) => bit(status.paused),
  },
  {
    name: 'ferrite_migrate_in_sync',
    now: true,
    kind: 'gauge',
    unit: 'yes or no',
    labels: [],
    help: 'So little is behind that nobody waits for it.',
    read: ({ status }) => bit(status.inSync),
  },
  {
    name: 'ferrite_migrate_diverging',
    now: true,
    kind: 'gauge',
    unit: 'yes or no',
    labels: [],
    help: 'The source writes faster than the target takes.',
    read: ({ status }) => bit(status.diverging),
  },
  {
    name: 'ferrite_migrate_shards',
    kind: 'gauge',
    unit: 'shards',
    labels: [],
    help: 'Streams of the source that are read.',
    ofWork: true,
    read: ({ tally }) => tally.shards.size,
  },
  {
    name: 'ferrite_migrate_shard_live',
    now: true,
    kind: 'gauge',
    unit: 'yes or no',
    labels: ['shard'],
    help: 'The snapshot of the shard is done, and its changes are followed.',
    ofWork: true,
    read: ofShard(({ phase }) => bit(phase === 'LIVE_SYNC')),
  },
  {
    name: 'ferrite_migrate_shard_full_syncs_total',
    kind: 'counter',
    unit: 'times',
    labels: ['shard'],
    help: 'Snapshots of the shard that were begun.',
    ofWork: true,
    read: ofShard(({ fullSyncs }) => fullSyncs),
  },
  {
    name: 'ferrite_migrate_shard_partial_syncs_total',
    kind: 'counter',
    unit: 'times',
    labels: ['shard'],
    help: 'Times that the shard went on from where it was.',
    ofWork: true,
    read: ofShard(({ partialSyncs }) => partialSyncs),
  },
  {
    name: 'ferrite_migrate_shard_sweeps_total',
    kind: 'counter',
    unit: 'times',
    labels: ['shard'],
    help: 'Times that everything of the shard was compared once more while changes were followed.',
    ofWork: true,
    read: ofShard(({ sweeps }) => sweeps),
  },
  {
    name: 'ferrite_migrate_shard_takeovers_total',
    kind: 'counter',
    unit: 'times',
    labels: ['shard'],
    help: 'Times that another worker went on with the shard: the one before it was lost, or gave it back.',
    ofWork: true,
    read: ofShard(({ takeovers }) => takeovers),
  },
  {
    name: 'ferrite_migrate_shard_worker_info',
    kind: 'gauge',
    unit: 'yes or no',
    labels: ['shard', 'worker', 'host'],
    help: 'Which worker of which machine runs the shard, where a queue has it run: always 1.',
    now: true,
    ofWork: true,
    read: ({ tally }) =>
      [...tally.shards].flatMap(([shard, { place }]) =>
        place === null ? [] : [[[shard, place.worker, place.host], 1] as const],
      ),
  },
  {
    name: 'ferrite_migrate_checkpoints_total',
    kind: 'counter',
    unit: 'times',
    labels: ['shard'],
    help: 'Positions of the shard that became durable.',
    ofWork: true,
    read: ofShard(({ checkpoints }) => checkpoints),
  },
  {
    name: 'ferrite_migrate_last_checkpoint_time_seconds',
    kind: 'gauge',
    unit: 'seconds',
    labels: ['shard'],
    help: 'When a position of the shard became durable last, since 1970.',
    ofWork: true,
    read: ofShard(({ checkpointAt }) => seconds(checkpointAt)),
  },
  {
    name: 'ferrite_migrate_snapshot_keys_read',
    kind: 'gauge',
    unit: 'keys',
    labels: ['shard'],
    help: 'Keys of the snapshot that were read; begins anew with a full resync.',
    ofWork: true,
    read: ofSnapshot('keysDone'),
  },
  {
    name: 'ferrite_migrate_snapshot_keys',
    kind: 'gauge',
    unit: 'keys',
    labels: ['shard'],
    help: 'Keys that the snapshot is expected to have, where the source tells.',
    ofWork: true,
    read: ofSnapshot('keysTotal'),
  },
  {
    name: 'ferrite_migrate_snapshot_bytes_read',
    kind: 'gauge',
    unit: 'bytes',
    labels: ['shard'],
    help: 'Bytes of the snapshot that were read, in the form of the source.',
    ofWork: true,
    read: ofSnapshot('bytesDone'),
  },
  {
    name: 'ferrite_migrate_snapshot_bytes',
    kind: 'gauge',
    unit: 'bytes',
    labels: ['shard'],
    help: 'Bytes that the snapshot is expected to have, where the source tells.',
    ofWork: true,
    read: ofSnapshot('bytesTotal'),
  },
  {
    name: 'ferrite_migrate_snapshot_keys_filtered',
    kind: 'gauge',
    unit: 'keys',
    labels: ['shard'],
    help: 'Keys that were read, and not taken by the filter.',
    ofWork: true,
    read: ofSnapshot('filtered'),
  },
  {
    name: 'ferrite_migrate_snapshot_keys_left_out',
    kind: 'gauge',
    unit: 'keys',
    labels: ['shard'],
    help: 'Keys that were read, and kept out by a rule, a script or what their value is.',
    ofWork: true,
    read: ofSnapshot('leftOut'),
  },
  {
    name: 'ferrite_migrate_snapshot_keys_kept',
    kind: 'gauge',
    unit: 'keys',
    labels: ['shard'],
    help: 'Keys that were read, and right at the target already.',
    ofWork: true,
    read: ofSnapshot('kept'),
  },
  {
    name: 'ferrite_migrate_keys_written_total',
    kind: 'counter',
    unit: 'keys',
    labels: [],
    help: 'Keys that were written to the target.',
    ofWork: true,
    read: ({ progress }) => progress.written,
  },
  {
    name: 'ferrite_migrate_keys_skipped_total',
    kind: 'counter',
    unit: 'keys',
    labels: [],
    help: 'Keys that were left as the target had them.',
    ofWork: true,
    read: ({ progress }) => progress.skipped,
  },
  {
    name: 'ferrite_migrate_keys_deleted_total',
    kind: 'counter',
    unit: 'keys',
    labels: [],
    help: 'Keys that were deleted at the target.',
    ofWork: true,
    read: ({ progress }) => progress.deleted,
  },
  {
    name: 'ferrite_migrate_keys_failed_total',
    kind: 'counter',
    unit: 'keys',
    labels: [],
    help: 'Keys that the target refused.',
    ofWork: true,
    read: ({ progress }) => progress.failed,
  },
  {
    name: 'ferrite_migrate_failure_reasons',
    kind: 'gauge',
    unit: 'keys',
    labels: ['reason'],
    help: 'Keys that the target refused, by the first word of its reason; of the first thousand.',
    ofWork: true,
    read: ({ progress }) => kindsOf(progress),
  },
  {
    name: 'ferrite_migrate_batches_under_way',
    now: true,
    kind: 'gauge',
    unit: 'times',
    labels: [],
    help: 'Batches that the target has not answered yet; of worker processes nothing is known.',
    read: ({ underWay }) => underWay,
  },
  {
    name: 'ferrite_migrate_values_passed_total',
    kind: 'counter',
    unit: 'values',
    labels: [],
    help: 'Values that went on as they were, because a rule could not change them.',
    ofWork: true,
    read: ({ progress }) => progress.passed,
  },
  {
    name: 'ferrite_migrate_changes_applied_total',
    kind: 'counter',
    unit: 'changes',
    labels: [],
    help: 'Changes that were applied to the target.',
    ofWork: true,
    read: ({ progress }) => progress.changesApplied,
  },
  {
    name: 'ferrite_migrate_changes_filtered_total',
    kind: 'counter',
    unit: 'changes',
    labels: [],
    help: 'Changes that the filter did not take.',
    ofWork: true,
    read: ({ progress }) => progress.changesFiltered,
  },
  {
    name: 'ferrite_migrate_changes_split_total',
    kind: 'counter',
    unit: 'changes',
    labels: [],
    help: 'Commands and transactions over several slots of the target, which are one a slot there, or whose keys were read again.',
    ofWork: true,
    read: ({ progress }) => progress.changesSplit,
  },
  {
    name: 'ferrite_migrate_change_bytes_total',
    kind: 'counter',
    unit: 'bytes',
    labels: [],
    help: 'Bytes of the change stream that were applied.',
    ofWork: true,
    read: ({ progress }) => progress.changeBytes,
  },
  {
    name: 'ferrite_migrate_sent_bytes_total',
    kind: 'counter',
    unit: 'bytes',
    labels: [],
    help: 'Bytes that were sent to the target.',
    ofWork: true,
    read: ({ progress }) => progress.sentBytes,
  },
  {
    name: 'ferrite_migrate_not_carried_total',
    kind: 'counter',
    unit: 'keys',
    labels: ['what'],
    help: 'Keys of which something could not be carried, by what it is.',
    ofWork: true,
    read: ({ progress }) => [...progress.notCarried].map(([what, { count }]) => [what, count]),
  },
  {
    name: 'ferrite_migrate_lag_changes',
    now: true,
    kind: 'gauge',
    unit: 'changes',
    labels: [],
    help: 'Changes that the target is behind.',
    read: ({ status }) => status.lagKeys,
  },
  {
    name: 'ferrite_migrate_lag_bytes',
    now: true,
    kind: 'gauge',
    unit: 'bytes',
    labels: [],
    help: 'Bytes of the change stream that the target is behind.',
    read: ({ status }) => status.lagBytes,
  },
  {
    name: 'ferrite_migrate_lag_seconds',
    now: true,
    kind: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'Time that the target is behind, of the shard that is furthest behind.',
    read: ({ status }) => seconds(status.lagMs),
  },
  {
    name: 'ferrite_migrate_shard_slots',
    kind: 'gauge',
    unit: 'slots',
    labels: ['shard'],
    help: 'Slots that the shard has now, where the source is a cluster.',
    ofWork: true,
    read: ofLag(({ slots }) => slots ?? null),
  },
  {
    name: 'ferrite_migrate_shard_lag_changes',
    now: true,
    kind: 'gauge',
    unit: 'changes',
    labels: ['shard'],
    help: 'Changes of the shard that the target is behind.',
    ofWork: true,
    read: ofLag(({ keys }) => keys ?? null),
  },
  {
    name: 'ferrite_migrate_shard_lag_bytes',
    now: true,
    kind: 'gauge',
    unit: 'bytes',
    labels: ['shard'],
    help: 'Bytes of the change stream of the shard that the target is behind: written by the source, not yet durable at the target.',
    ofWork: true,
    read: ofLag(({ bytes }) => bytes ?? null),
  },
  {
    name: 'ferrite_migrate_shard_lag_seconds',
    now: true,
    kind: 'gauge',
    unit: 'seconds',
    labels: ['shard'],
    help: 'Time that the target is behind the shard.',
    ofWork: true,
    read: ofLag(({ ms }) => seconds(ms ?? null)),
  },
  {
    name: 'ferrite_migrate_shard_spool_bytes',
    now: true,
    kind: 'gauge',
    unit: 'bytes',
    labels: ['shard'],
    help: 'Bytes of the shard that were received and are not taken yet, in memory or on disk.',
    ofWork: true,
    read: ofLag(({ spooledBytes }) => spooledBytes ?? null),
  },
  {
    name: 'ferrite_migrate_spool_bytes',
    now: true,
    kind: 'gauge',
    unit: 'bytes',
    labels: [],
    help: 'Bytes that were received and are not taken yet, in memory or on disk.',
    read: ({ status }) => status.spoolBytes,
  },
  {
    name: 'ferrite_migrate_eta_seconds',
    now: true,
    kind: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'Time until the snapshot is done or the lag is gone.',
    read: ({ status }) => seconds(status.etaMs),
  },
  {
    name: 'ferrite_migrate_shard_notes_total',
    kind: 'counter',
    unit: 'times',
    labels: ['type'],
    help: 'Things that happened to shards and were told, by their type.',
    ofWork: true,
    read: ({ tally }) => tally.notes,
  },
  {
    name: 'ferrite_migrate_verify_keys',
    kind: 'gauge',
    unit: 'keys',
    labels: [],
    help: 'Keys that the last comparison looked at.',
    read: ({ verification }) => verification?.compared ?? null,
  },
  {
    name: 'ferrite_migrate_verify_differences',
    kind: 'gauge',
    unit: 'keys',
    labels: ['kind'],
    help: 'Keys that differed at the last comparison.',
    read: ({ verification }) => (verification === null ? null : differencesOf(verification)),
  },
  {
    name: 'ferrite_migrate_verify_equal',
    kind: 'gauge',
    unit: 'yes or no',
    labels: [],
    help: 'The last comparison looked at everything, and all was the same.',
    read: ({ verification }) => verification && bit(verification.equal),
  },
  {
    name: 'ferrite_migrate_cutover_downtime_seconds',
    kind: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'How long the cutover kept writers out.',
    read: ({ cutover }) => seconds(cutover?.downtimeMs ?? null),
  },
]

/** All that is measured of a run, in the order of docs/metrics.md, which is made from it. */
export const METRICS: readonly Metric[] = ROWS

const NOW: ReadonlySet<Metric> = new Set(ROWS.filter(({ now }) => now === true))
const BY_NAME: ReadonlyMap<string, Metric> = new Map(METRICS.map((metric) => [metric.name, metric]))

/** What `storedMetrics` wrote; what a later version measures besides is left out. @throws SyntaxError */
export function readMetrics(text: string): MetricSample[] {
  if (text === '') return []
  const rows = JSON.parse(text) as [string, Record<string, string>, number][]
  return rows.flatMap(([name, labels, value]) => {
    const metric = BY_NAME.get(name)
    return metric === undefined ? [] : [{ metric, labels, value }]
  })
}

/**
 * What `storedMetrics` wrote of a run, as it is now: the process of one may have died, and then nobody has written down that it is in
 * its phase no more, or behind.
 * @param status as the state tells it now
 * @throws SyntaxError
 */
export function measuredThen(text: string, { state, phase }: Pick<MigrationStatus, 'state' | 'phase'>): MetricSample[] {
  const samples = readMetrics(text)
  if (state === 'RUNNING') return samples
  return samples
    .filter(({ metric }) => !NOW.has(metric))
    .map((sample) => (sample.metric.name === PHASE ? { ...sample, value: bit(sample.labels.phase === phase) } : sample))
}

/** The values of all metrics now; what is not known is not among them. */
export function measure(run: MeasuredRun): MetricSample[] {
  const isRunning = run.status.state === 'RUNNING'
  return ROWS.filter(({ now }) => now !== true || isRunning).flatMap((row) => samplesOf(row, row.read(run)))
}

/** The same of what one worker has of a migration: all that is counted of shards and keys, and nothing of the migration as a whole. */
export function measureWork(work: MeasuredWork): MetricSample[] {
  return ROWS.flatMap((row) => (row.ofWork ? samplesOf(row, row.read(work)) : []))
}

function samplesOf(metric: Metric, reading: Reading): MetricSample[] {
  if (reading === null) return []
  if (typeof reading === 'number') return [{ metric, labels: {}, value: reading }]
  return [...reading].flatMap(([label, value]) => {
    if (value === null) return []
    const given = typeof label === 'string' ? [label] : label
    return [{ metric, labels: Object.fromEntries(given.map((one, i) => [metric.labels[i], one])), value }]
  })
}
