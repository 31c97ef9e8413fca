import type { SourceCapabilities } from '@ferrite-migrate/contracts'
import type { SourceFacts } from './preflight.js'
import type { SnapshotSetting } from './snapshot-settings.js'

/** How changes are learned; `polling` compares everything again and again. */
export type Capture = 'psync' | 'notifications' | 'polling'

/** What a source can do whose changes are learned so. */
export function capabilitiesOf(capture: Capture, { role }: SourceFacts): SourceCapabilities {
  const follower = role === 'slave'
  return capture === 'psync'
    ? { changes: 'lossless', resume: 'changes', uniqueKeys: true, places: true, changesBy: 'replication', follower }
    : { changes: 'lossy', resume: 'snapshot', uniqueKeys: false, changesBy: capture, follower }
}

/** The same for people. */
export function descriptionOf(
  capture: Capture,
  facts: SourceFacts,
  settings: readonly SnapshotSetting[],
): Readonly<Record<string, string>> {
  return {
    product: facts.product,
    version: facts.version,
    role: facts.role,
    capture,
    'capture chosen because':
      capture === 'psync' ? 'the source allows PSYNC' : facts.psyncRefusal || 'it was asked for',
    keys: String(facts.keys),
    ...(capture === 'psync'
      ? Object.fromEntries(settings.map(({ fact, why }) => [fact, `off until the snapshot has begun, ${why}`]))
      : {}),
  }
}
