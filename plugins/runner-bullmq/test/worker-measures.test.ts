import { measureWork, Progress, ShardTally, storedMetrics } from '@ferrite-migrate/core'
import { describe, expect, it } from 'vitest'
import { WorkerMeasures } from '../dist/work/worker-measures.js'

function written(keys: number): string {
  const progress = new Progress()
  progress.written = keys
  return storedMetrics(measureWork({ progress, tally: new ShardTally() }))
}

function keysWritten(measures: WorkerMeasures): unknown[] {
  return measures
    .samples()
    .filter(({ metric }) => metric.name === 'ferrite_migrate_keys_written_total')
    .map(({ labels, value }) => [labels, value])
}

describe('what a machine measures', () => {
  it('is that of each of its processes, as it told last, for as long as it runs something', () => {
    const measures = new WorkerMeasures()
    expect(measures.samples()).toEqual([])
    measures.set('m.1', 'a', written(1))
    measures.set('m.2', 'a', written(2))
    measures.set('m.1', 'a', written(3))
    expect(keysWritten(measures)).toEqual([
      [{ migration: 'a', worker: 'm.1' }, 3],
      [{ migration: 'a', worker: 'm.2' }, 2],
    ])
    measures.forget('m.1')
    measures.set('m.2', 'b', written(0))
    expect(keysWritten(measures)).toEqual([[{ migration: 'b', worker: 'm.2' }, 0]])
  })
})
