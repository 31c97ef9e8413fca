import type { AdapterContext } from '@ferrite-migrate/contracts'
import type { Endpoint, WireTrace } from '@ferrite-migrate/redis'
import type { Capture } from './capture.js'
import { NotificationFeed } from './notification-feed.js'
import type { SourceFacts } from './preflight.js'
import { PsyncShard, type PsyncShardOptions } from './psync-shard.js'
import { ScanShard, type ScanShardOptions } from './scan-shard.js'
import { type SnapshotSetting, SnapshotSettings } from './snapshot-settings.js'

/** How often an idle primary sends a sign of life to its replicas, ms; 10 s where it does not say. */
function pingPeriod({ config }: SourceFacts): number {
  const seconds = Number(config.get('repl-ping-replica-period') ?? config.get('repl-ping-slave-period'))
  return (seconds > 0 ? seconds : 10) * 1000
}

/** Memory of a shard that its spool has at least, bytes. */
const LEAST_MEMORY = 256 << 10
/** What waits for the disk before less is read, bytes. */
const UNFLUSHED = 8 << 20

/** A shard that is a replica of the source, which has so many of them. */
export function psyncShard(
  { options, logger, tempDir, ledger }: AdapterContext,
  endpoint: Endpoint,
  facts: SourceFacts,
  settings: readonly SnapshotSetting[],
  trace: WireTrace | null,
  {
    id = '0',
    elsewhere,
    streamFrom,
    of = 1,
  }: Pick<PsyncShardOptions, 'elsewhere' | 'streamFrom'> & { readonly id?: string; readonly of?: number } = {},
): PsyncShard {
  return new PsyncShard(id, {
    endpoint,
    logger,
    batchSize: Number(options['batch-size']),
    sliceLimit: Number(options['slice-limit']),
    retryMs: Number(options['sync-timeout']),
    trace,
    keys: facts.keys,
    cluster: facts.cluster,
    ...(elsewhere === undefined ? {} : { elsewhere }),
    ...(streamFrom === undefined ? {} : { streamFrom }),
    clockSkewMs: facts.clockSkewMs,
    transactionLimit: Number(options['transaction-limit']),
    pingMs: pingPeriod(facts),
    settings:
      settings.length > 0
        ? new SnapshotSettings(streamFrom ?? endpoint, settings, ledger, facts.runId, trace, logger)
        : null,
    spool: {
      directory: tempDir,
      // Memory is what the source may take, of which each of its shards has its part.
      memoryLimit: Math.max(LEAST_MEMORY, Math.floor(Number(options['spool-memory']) / of)),
      unflushedLimit: Math.max(LEAST_MEMORY, Math.floor(UNFLUSHED / of)),
      diskLimit: Number(options['spool-limit']),
    },
  })
}

/** A shard that reads keys, and learns which have changed. */
export function scanShard(
  { options }: AdapterContext,
  capture: Capture,
  sources: Pick<ScanShardOptions, 'reader' | 'feed' | 'lasting'>,
): ScanShard {
  return new ScanShard('0', {
    batchSize: Number(options['batch-size']),
    retryMs: Number(options['sync-timeout']),
    sweepIntervalMs: Number(options['sweep-interval']),
    pollIntervalMs: capture === 'polling' ? Number(options['poll-interval']) : 0,
    ...sources,
  })
}

/** The events of one server. */
export function notificationFeed(
  { options, logger, ledger }: AdapterContext,
  endpoint: Endpoint,
  facts: SourceFacts,
  signal: AbortSignal,
  told?: () => void,
): NotificationFeed {
  return new NotificationFeed({
    ...{ endpoint, logger, signal, ledger },
    retryMs: Number(options['sync-timeout']),
    configure: options['configure-notifications'] === true,
    server: facts.runId,
    ...(told === undefined ? {} : { told }),
  })
}
