import type { AdapterContext } from '@ferrite-migrate/contracts'
import { type SourceFacts, sparesCompression } from './preflight.js'
import type { SnapshotSetting } from './snapshot-settings.js'

/** What is changed at the source for the start of a snapshot, as far as it is worth it and asked for. */
export function wantedSettings(options: AdapterContext['options'], facts: SourceFacts): SnapshotSetting[] {
  const settings: SnapshotSetting[] = []
  if (options['snapshot-compression'] === 'auto' && sparesCompression(facts))
    settings.push({
      name: 'rdbcompression',
      former: 'yes',
      meanwhile: 'no',
      fact: 'compression',
      why: 'since the source is near',
      without: 'the snapshot stays compressed',
    })
  const delay = facts.config.get('repl-diskless-sync-delay')
  if (
    options['snapshot-delay'] === 'auto' &&
    facts.config.get('repl-diskless-sync') === 'yes' &&
    delay !== undefined &&
    Number(delay) > 0
  )
    settings.push({
      name: 'repl-diskless-sync-delay',
      former: delay,
      meanwhile: '0',
      fact: 'wait for other replicas',
      why: `instead of ${delay} s (--source-option snapshot-delay=keep leaves it)`,
      without: `the snapshot begins ${delay} s later`,
    })
  return settings
}
