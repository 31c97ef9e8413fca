import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import { type Check, ensure, skip } from './harness.js'
import { digestOf, nameOf, sampleRecords } from './samples.js'
import { batchOf, type TargetSubject, valueAt } from './target-subject.js'

const LANES = [1, 2, 3, 4, 16]
const WRITTEN_LANES = 4

const without = ({ target }: TargetSubject): string | null =>
  target.laneOf === undefined ? 'the target has no `laneOf`: any lane serves any key' : null

/** What a target does that names the lane of a key. */
export const targetLaneRules: readonly Check<TargetSubject>[] = [
  {
    rule: 'T18',
    name: 'names a lane that there is, for one key always the same',
    skips: without,
    run: async ({ target }) => {
      const keys = [
        ...sampleRecords().map(({ key }) => key),
        ...Array.from({ length: 100 }, (_, i) => Buffer.from(`kit:lane:${i}`)),
      ]
      for (const lanes of LANES) {
        const laneOf = (key: Buffer): number => target.laneOf?.(0, key, lanes) ?? skip('the target has no `laneOf`')
        const first = keys.map(laneOf)
        for (const [i, lane] of first.entries())
          ensure(
            Number.isInteger(lane) && lane >= 0 && lane < lanes,
            `the lane of ${nameOf(keys[i])} is ${lane}, and there are ${lanes}`,
          )
        // Another order, and other memory with the same bytes.
        const again = keys
          .toReversed()
          .map((key) => laneOf(Buffer.from(key)))
          .toReversed()
        for (const [i, lane] of again.entries())
          ensure(lane === first[i], `the lane of ${nameOf(keys[i])} is ${first[i]}, and ${lane} when asked again`)
      }
    },
  },
  {
    rule: 'T18',
    name: 'writes what goes through the lane that it names',
    skips: without,
    run: async ({ target, types }) => {
      const lanes = new Map<number, SnapshotRecord[]>()
      for (const record of sampleRecords(Date.now(), types)) {
        const lane = target.laneOf?.(record.db, record.key, WRITTEN_LANES) ?? 0
        lanes.set(lane, [...(lanes.get(lane) ?? []), record])
      }
      const writes = [...lanes].map(([lane, records]) => target.write(batchOf(records, 'replace', lane)))
      for (const { failed } of await Promise.all(writes))
        ensure(failed.length === 0, `failed: ${failed.map(({ reason }) => reason).join('; ')}`)
      for (const want of [...lanes.values()].flat()) {
        const got = await valueAt(target, want.key)
        ensure(
          got !== null && digestOf(got) === digestOf(want),
          `${nameOf(want.key)}, which went through its lane, is not there`,
        )
      }
    },
  },
]
