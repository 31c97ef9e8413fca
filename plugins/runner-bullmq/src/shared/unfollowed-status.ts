import { type FromWorker, type MigrationStatus, Progress } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'
import { keptCounts } from '../protocol/kept-counts.js'
import { readControl } from '../protocol/told.js'

/** What nobody knows who does not ask the shards. */
const UNKNOWN = { lagKeys: null, lagBytes: null, lagMs: null, etaMs: null, rate: 0, inSync: false, diverging: false }

/**
 * Where a migration stands that nobody follows: what its workers have kept. How far it is behind is not known.
 * @param last as whoever followed it last has left it
 */
export async function unfollowedStatus(link: Redis, keys: RunKeys, last: MigrationStatus): Promise<MigrationStatus> {
  const [counts, states, fields] = await Promise.all([
    keptCounts(link, keys),
    link.hvals(keys.state),
    link.hgetall(keys.control),
  ])
  const control = readControl(fields)
  if (control === null || last.state !== 'RUNNING') return last
  const progress = new Progress()
  progress.recount(counts)
  const phases = states
    .flatMap((text) => JSON.parse(text) as FromWorker[])
    .flatMap((told) => (told.kind === 'event' && told.event.kind === 'phase' ? [told.event.phase] : []))
  const isLive = phases.length > 0 && phases.every((phase) => phase === 'LIVE_SYNC') && last.mode !== 'snapshot'
  return {
    ...last,
    ...UNKNOWN,
    phase: isLive ? 'LIVE_SYNC' : 'INITIAL_SYNC',
    paused: control.paused,
    updatedAt: Date.now(),
    ...progress.totals(),
  }
}
