import type { Check } from './harness.js'
import { readerRulesOf } from './reader-rules.js'
import { sampleRecords } from './samples.js'
import { targetChangeRules } from './target-change-rules.js'
import { targetHoldsRules } from './target-holds-rules.js'
import { targetLaneRules } from './target-lane-rules.js'
import { targetSliceRules } from './target-slice-rules.js'
import { batchOf, type TargetSubject } from './target-subject.js'
import { targetValueRules } from './target-value-rules.js'

export type { TargetSubject } from './target-subject.js'

/** What every target must do; each check is named after what it wants. */
export const targetChecks: readonly Check<TargetSubject>[] = [
  ...targetValueRules,
  ...targetSliceRules,
  ...targetChangeRules,
  ...targetLaneRules,
  ...targetHoldsRules,
  ...readerRulesOf<TargetSubject>(async ({ target, types }) => {
    const expected = sampleRecords(Date.now(), types)
    await target.write(batchOf(expected))
    return { reader: target.reader(), expected, toleranceMs: 1000 }
  }),
]
