import type { Check } from './harness.js'
import { readerRulesOf } from './reader-rules.js'
import { sourceChangeRules } from './source-change-rules.js'
import { sourceMemoryRules } from './source-memory-rules.js'
import { sourcePositionRules } from './source-position-rules.js'
import { sourceShardRules } from './source-shard-rules.js'
import { sourceSnapshotRules } from './source-snapshot-rules.js'
import type { SourceSubject } from './source-subject.js'

export type { SourceSubject } from './source-subject.js'

/** What every source must do; each check is named after what it wants. */
export const sourceChecks: readonly Check<SourceSubject>[] = [
  ...sourceSnapshotRules,
  ...sourceMemoryRules,
  ...sourceChangeRules,
  ...sourcePositionRules,
  ...sourceShardRules,
  ...readerRulesOf<SourceSubject>(async ({ source, expected }) => {
    const reader = source.reader?.()
    if (reader === undefined) return 'the source has no `reader`'
    return { reader, expected, toleranceMs: Math.max(1000, source.capabilities.expiryPrecisionMs ?? 0) }
  }),
]
