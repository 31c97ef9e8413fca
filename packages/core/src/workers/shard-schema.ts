import * as v from 'valibot'
import { configSchema } from '../config/config.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import type { ShardTask } from './shard-task.js'

const count = v.number()
const unknown = v.nullable(v.number())
const shard = v.string()
const examples = v.array(v.string())

const counts = v.object({
  shards: v.record(
    v.string(),
    v.object({
      keysDone: count,
      keysTotal: unknown,
      bytesDone: count,
      bytesTotal: unknown,
      filtered: count,
      leftOut: count,
      kept: count,
    }),
  ),
  passed: count,
  passedExamples: examples,
  changesApplied: count,
  changesFiltered: count,
  changesSplit: count,
  changeBytes: count,
  written: count,
  skipped: count,
  deleted: count,
  failed: count,
  sentBytes: count,
  notCarried: v.record(v.string(), v.object({ count, examples })),
  uncarried: v.array(v.tuple([v.number(), v.string()])),
  failures: v.array(v.object({ db: v.number(), key: v.string(), reason: v.string() })),
})

/** What a shard tells. Published as `schema/shard-event.schema.json`. */
export const shardEventSchema = v.variant('kind', [
  v.object({ kind: v.literal('synced'), shard, mode: v.picklist(['full', 'partial']) }),
  v.object({ kind: v.literal('joined'), shard }),
  v.object({ kind: v.literal('left'), shard }),
  v.object({ kind: v.literal('phase'), shard, phase: v.picklist(['INITIAL_SYNC', 'LIVE_SYNC']) }),
  v.object({ kind: v.literal('placed'), shard, worker: v.string(), host: v.string() }),
  v.object({ kind: v.literal('position'), shard, position: v.string() }),
  v.object({ kind: v.literal('swept'), shard }),
  v.object({ kind: v.literal('held'), shard }),
  v.object({ kind: v.literal('note'), shard, type: v.string(), text: v.string() }),
  v.object({ kind: v.literal('counted'), counts }),
]) satisfies v.GenericSchema<unknown, ShardEvent>

/** What a process needs to know to run shards. Published as `schema/shard-task.schema.json`. */
export const shardTaskSchema = v.object({
  version: v.literal(1),
  migration: v.string(),
  worker: v.string(),
  shards: v.array(shard),
  config: configSchema,
  plugins: v.array(v.object({ name: v.string(), root: v.string(), packageJson: v.record(v.string(), v.unknown()) })),
  apply: v.picklist(['replay', 'state']),
  lanes: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1024)),
  onlyDb: unknown,
  byKeys: v.boolean(),
  claim: v.object({
    epoch: v.number(),
    owner: v.string(),
    former: v.exactOptional(v.nullable(v.string())),
    copies: v.exactOptional(v.string()),
    shard: v.exactOptional(v.string()),
  }),
  directory: v.string(),
  journal: v.boolean(),
  targetWasEmpty: v.boolean(),
  resumed: v.nullable(
    v.object({
      positions: v.record(v.string(), v.string()),
      held: v.nullable(v.object({ from: v.number(), to: v.number() })),
      inSnapshot: v.boolean(),
    }),
  ),
  paused: v.boolean(),
  whole: v.exactOptional(v.boolean()),
}) satisfies v.GenericSchema<unknown, ShardTask>
