import { describe, expect, it } from 'vitest'
import {
  METRICS,
  type MeasuredRun,
  measure,
  measuredThen,
  measureWork,
  Progress,
  ShardTally,
  storedMetrics,
} from '../../dist/index.js'
import { status } from '../state/stored-migration.js'

function run(part: Partial<MeasuredRun> = {}): MeasuredRun {
  return {
    ...{
      status: status(),
      progress: new Progress(),
      tally: new ShardTally(),
      verification: null,
      cutover: null,
      plan: null,
      underWay: null,
    },
    ...part,
  }
}

/** Values by name and label. */
function values(of: MeasuredRun): Record<string, number> {
  return Object.fromEntries(
    measure(of).map(({ metric, labels, value }) => [
      `${metric.name.replace('ferrite_migrate_', '')}${Object.entries(labels).map(([name, label]) => `{${name}=${label}}`)}`,
      value,
    ]),
  )
}

describe('the table of metrics', () => {
  it('has names that every collector takes, each once, with units and a sentence', () => {
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length)
    for (const { name, kind, unit, help, labels } of METRICS) {
      expect(name).toMatch(/^ferrite_migrate_[a-z_]+$/)
      expect(name.endsWith('_total')).toBe(kind === 'counter')
      if (unit === 'seconds') expect(name).toMatch(/_seconds$/)
      if (unit === 'bytes') expect(name).toMatch(/bytes/)
      expect(help).toMatch(/^[A-Z].*\.$/)
      expect(new Set(labels).size).toBe(labels.length)
    }
  })

  it('says of a run that is over, or whose process died, neither its last phase nor how far it was behind', () => {
    const live = status({ phase: 'LIVE_SYNC', inSync: true, lagKeys: 0, lagMs: 0 })
    const text = storedMetrics(measure(run({ status: live })))
    const told = (of: Parameters<typeof measuredThen>[1]): string[] =>
      measuredThen(text, of)
        .filter(({ metric: { name }, value }) => /lag|in_sync/.test(name) || (name.endsWith('_phase') && value === 1))
        .map(({ metric, labels }) => labels.phase ?? metric.name)
    expect(told(live)).toEqual([
      'LIVE_SYNC',
      'ferrite_migrate_in_sync',
      'ferrite_migrate_lag_changes',
      'ferrite_migrate_lag_bytes',
      'ferrite_migrate_lag_seconds',
    ])
    expect(told({ state: 'INTERRUPTED', phase: 'INTERRUPTED' })).toEqual(['INTERRUPTED'])
    const over = values(run({ status: status({ state: 'COMPLETED', phase: 'COMPLETED', lagKeys: 2 }) }))
    expect([over['phase{phase=COMPLETED}'], over.lag_changes, over.in_sync]).toEqual([1, undefined, undefined])
  })

  it('tells what shards have told', () => {
    const tally = new ShardTally()
    tally.begin(['a', 'b'])
    tally.hear({ kind: 'synced', shard: 'a', mode: 'full' })
    tally.hear({ kind: 'synced', shard: 'a', mode: 'partial' })
    tally.hear({ kind: 'phase', shard: 'a', phase: 'LIVE_SYNC' })
    tally.hear({ kind: 'position', shard: 'a', position: '1' })
    tally.hear({ kind: 'swept', shard: 'a' })
    tally.hear({ kind: 'note', shard: 'a', type: 'resync', text: 'x' })
    tally.hear({ kind: 'joined', shard: 'c' })
    tally.hear({ kind: 'left', shard: 'b' })
    expect(values(run({ tally }))).toMatchObject({
      shards: 2,
      'shard_live{shard=a}': 1,
      'shard_live{shard=c}': 0,
      'shard_full_syncs_total{shard=a}': 1,
      'shard_partial_syncs_total{shard=a}': 1,
      'shard_sweeps_total{shard=a}': 1,
      'checkpoints_total{shard=a}': 1,
      'last_checkpoint_time_seconds{shard=a}': expect.closeTo(Date.now() / 1000, -1),
      'shard_notes_total{type=resync}': 1,
    })
    expect(values(run({ tally }))).not.toHaveProperty('shard_live{shard=b}')
  })

  it('counts what each shard has read, and what was written', () => {
    const progress = new Progress()
    Object.assign(progress.of('a'), { keysDone: 3, keysTotal: 9, bytesDone: 40 })
    Object.assign(progress.of('b'), { keysDone: 4 })
    progress.add({ written: 5, skipped: 1, deleted: 2, byteLength: 70, failed: [], notCarried: [] })
    progress.leaveOutMany('module', 2, [])
    expect(values(run({ progress }))).toMatchObject({
      'snapshot_keys_read{shard=a}': 3,
      'snapshot_keys_read{shard=b}': 4,
      'snapshot_keys{shard=a}': 9,
      keys_written_total: 5,
      keys_deleted_total: 2,
      sent_bytes_total: 70,
      'not_carried_total{what=module}': 2,
    })
    expect(values(run({ progress }))).not.toHaveProperty('snapshot_keys{shard=b}')
  })

  it('leaves out what is not known, and is 1 for one phase alone', () => {
    const unknown = values(run({ status: status({ lagBytes: null, lagMs: null, phase: 'LIVE_SYNC' }) }))
    expect(unknown).not.toHaveProperty('lag_bytes')
    expect(unknown).not.toHaveProperty('verify_equal')
    expect(unknown).not.toHaveProperty('cutover_downtime_seconds')
    expect(Object.entries(unknown).filter(([name, value]) => name.startsWith('phase{') && value === 1)).toEqual([
      ['phase{phase=LIVE_SYNC}', 1],
    ])
    expect(values(run({ status: status({ lagMs: 1500 }) }))).toMatchObject({ lag_seconds: 1.5 })
  })

  it('tells of one worker all that is of shards and keys, and nothing of the migration', () => {
    const of = run({ status: status({ phase: 'LIVE_SYNC', inSync: true, lagKeys: 3 }) })
    of.tally.hear({ kind: 'joined', shard: '7000' })
    of.tally.lags.set('7000', { keys: 3 })
    of.progress.written = 5
    const names = measureWork(of).map(({ metric }) => metric.name)
    const whole = measure(of)
    expect(names).toEqual(whole.map(({ metric }) => metric.name).filter((name) => names.includes(name)))
    for (const name of ['shards', 'shard_lag_changes', 'keys_written_total', 'shard_full_syncs_total'])
      expect(names).toContain(`ferrite_migrate_${name}`)
    for (const name of ['phase', 'lag_changes', 'run_info', 'start_time_seconds', 'eta_seconds'])
      expect(names).not.toContain(`ferrite_migrate_${name}`)
  })
})
