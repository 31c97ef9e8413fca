import { describe, expect, it } from 'vitest'
import { SnapshotCounts, sumOf } from '../../../dist/engine/progress/snapshot-counts.js'

describe('counts of a snapshot', () => {
  it('are summed over shards, and unknown where none tells', () => {
    const [one, two] = [new SnapshotCounts(), new SnapshotCounts()]
    one.keysDone = 3
    two.keysDone = 4
    two.bytesTotal = 10
    expect([sumOf([one, two], 'keysDone'), sumOf([one, two], 'bytesTotal'), sumOf([one, two], 'keysTotal')]).toEqual([
      7,
      10,
      null,
    ])
    expect(sumOf([], 'keysDone')).toBeNull()
  })

  it('begin anew with nothing', () => {
    const one = new SnapshotCounts()
    Object.assign(one, { keysDone: 1, keysTotal: 2, bytesDone: 3, bytesTotal: 4, filtered: 5, leftOut: 6, kept: 7 })
    one.restart()
    expect(one).toEqual(new SnapshotCounts())
  })
})
