import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../dist/config/config.js'
import type { ShardEvent } from '../../dist/engine/events/shard-event.js'
import { Progress } from '../../dist/engine/progress/progress.js'
import { shardEventSchema, shardTaskSchema } from '../../dist/workers/shard-schema.js'
import type { ShardTask } from '../../dist/workers/shard-task.js'
import { bytes } from '../doubles.js'

const task: ShardTask = {
  version: 1,
  migration: 'm',
  worker: 'w0',
  shards: ['a'],
  config: resolveConfig({ source: 'redis://a', target: 'ferrite://b', filter: { dbs: [1], include: ['k*'] } }),
  plugins: [{ name: 'p', root: '/p', packageJson: { ferriteMigrate: { contract: 2 } } }],
  apply: 'replay',
  lanes: 4,
  onlyDb: 1,
  byKeys: false,
  claim: { epoch: 3, owner: 'o', former: null, copies: 'abc' },
  directory: '/state',
  journal: true,
  targetWasEmpty: false,
  resumed: { positions: { a: '7' }, held: { from: 1, to: 2 }, inSnapshot: true },
  paused: false,
}
/** As another process gets it. */
const sent = (message: unknown): unknown => JSON.parse(JSON.stringify(message))

describe('the task of a worker', () => {
  it('is plain JSON, and comes as it was', () => {
    expect(v.parse(shardTaskSchema, sent(task))).toEqual(sent(task))
  })

  it.each([
    ['of another version', { version: 2 }],
    ['without a lane', { lanes: 0 }],
    ['that applies changes in no known way', { apply: 'guess' }],
    ['without its shards', { shards: undefined }],
    ['whose places are none', { resumed: { positions: { a: 7 }, held: null, inSnapshot: false } }],
  ])('%s is refused', (_, wrong) => {
    expect(v.safeParse(shardTaskSchema, sent({ ...task, ...wrong })).success).toBe(false)
  })
})

describe('what a shard tells', () => {
  function counts(): ShardEvent {
    const progress = new Progress()
    progress.of('a').keysDone = 3
    progress.leaveOut('a module', bytes('m'))
    return { kind: 'counted', counts: progress.counts() }
  }
  const events: ShardEvent[] = [
    { kind: 'synced', shard: 'a', mode: 'partial' },
    { kind: 'joined', shard: 'a' },
    { kind: 'left', shard: 'a' },
    { kind: 'phase', shard: 'a', phase: 'LIVE_SYNC' },
    { kind: 'position', shard: 'a', position: '7' },
    { kind: 'swept', shard: 'a' },
    { kind: 'held', shard: 'a' },
    { kind: 'note', shard: 'a', type: 't', text: 'x' },
    counts(),
  ]

  it.each(events.map((event) => [event.kind, event]))('%s is plain JSON, and comes as it was', (_, event) => {
    expect(v.parse(shardEventSchema, sent(event))).toEqual(sent(event))
  })

  it('is of a known kind', () => {
    expect(v.safeParse(shardEventSchema, { kind: 'sung', shard: 'a' }).success).toBe(false)
    expect(v.safeParse(shardEventSchema, { kind: 'phase', shard: 'a', phase: 'CUTOVER' }).success).toBe(false)
  })
})
