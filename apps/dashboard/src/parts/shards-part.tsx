import type { MetricValue } from '@ferrite-migrate/api'
import { formatBytes, formatCount, formatDuration } from '@ferrite-migrate/core/page'
import { Table } from './table.js'

const PREFIX = 'ferrite_migrate_'

/** One row a stream of the source, from what is measured of it. */
export function ShardsPart({ metrics }: { metrics: readonly MetricValue[] }) {
  const shards = new Map<string, Map<string, number>>()
  const workers = new Map<string, string>()
  for (const { name, labels, value } of metrics) {
    if (labels.shard === undefined) continue
    // A worker is called by its machine first.
    if (labels.worker !== undefined) workers.set(labels.shard, labels.worker)
    const of = shards.get(labels.shard) ?? new Map<string, number>()
    shards.set(labels.shard, of.set(name.slice(PREFIX.length), value))
  }
  if (shards.size === 0) return null
  const shown = (value: number | undefined, format: (value: number) => string): string =>
    value === undefined ? '-' : format(value)
  const byQueue = workers.size > 0
  return (
    <>
      <h2>Shards</h2>
      <Table
        label="Shards"
        head={[
          'Shard',
          'Followed',
          'Slots',
          'Keys read',
          'Expected',
          'Bytes read',
          'Changes behind',
          'Bytes behind',
          'Time behind',
          'Full syncs',
          ...(byQueue ? ['Taken over', 'Worker'] : []),
        ]}
        figures={[2, 3, 4, 5, 6, 7, 8, 9, ...(byQueue ? [10] : [])]}
        rows={[...shards]
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([shard, of]) => [
            shard,
            shown(of.get('shard_live'), (live) => (live === 1 ? 'yes' : 'not yet')),
            shown(of.get('shard_slots'), formatCount),
            shown(of.get('snapshot_keys_read'), formatCount),
            shown(of.get('snapshot_keys'), formatCount),
            shown(of.get('snapshot_bytes_read'), formatBytes),
            shown(of.get('shard_lag_changes'), formatCount),
            shown(of.get('shard_lag_bytes'), formatBytes),
            shown(of.get('shard_lag_seconds'), (seconds) => formatDuration(seconds * 1000)),
            shown(of.get('shard_full_syncs_total'), formatCount),
            ...(byQueue ? [shown(of.get('shard_takeovers_total'), formatCount), workers.get(shard) ?? '-'] : []),
          ])}
      />
    </>
  )
}
