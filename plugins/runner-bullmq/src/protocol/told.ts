import type { Lag } from '@ferrite-migrate/contracts'
import type { FromWorker } from '@ferrite-migrate/core'

/** What workers of a queue tell beside what any worker does. */
export type ToldBeside =
  /** It has the shard now, and nobody before it any more, who was seen last so long ago (null = nobody was), or gave it back. */
  | {
      readonly kind: 'taken'
      readonly by: string
      readonly host: string
      readonly afterMs: number | null
      readonly gaveBack: boolean
    }
  /** How far each of its shards is behind: the answer to a question for all. */
  | { readonly kind: 'lags'; readonly id: number; readonly lags: readonly (readonly [string, Lag | null])[] }

/** From a worker to whoever follows the migration. */
export type Told = {
  readonly shard: string
  /** Of the worker: a later one has taken the shard over. */
  readonly epoch: number
} & (FromWorker | ToldBeside)

/** To all workers of a migration: a question for one of them, or for each (`shard` null). */
export interface Question {
  readonly id: number
  readonly shard: string | null
  readonly what: 'settle' | 'mustKeep' | 'lags' | 'readBoth' | 'repair' | 'compare'
  readonly keys: readonly { readonly db: number; readonly key: Buffer }[]
}

/** How far reading is to go on: as it is, to what was read, or to an end soon. */
export type Ending = '' | 'read' | 'stop'

/** What all workers of a migration are to do now; each says which version it has obeyed. */
export interface Control {
  readonly version: number
  readonly paused: boolean
  readonly ending: Ending
  /** Changed keys are told. */
  readonly tracking: boolean
  /** Changes are only noted. */
  readonly frozen: boolean
  /** `whole`: one job has all shards, since slots move between them. */
  readonly grouping: 'apart' | 'whole'
  /** Another one each time that jobs are made anew: jobs of former rounds end by themselves. */
  readonly round: string
}

const FIRST: Control = {
  version: 0,
  paused: false,
  ending: '',
  tracking: false,
  frozen: false,
  grouping: 'apart',
  round: '',
}

/** Null = the migration is over, or not begun. */
export function readControl(fields: Readonly<Record<string, string>>): Control | null {
  if (fields.round === undefined) return null
  const ending = fields.ending === 'read' || fields.ending === 'stop' ? fields.ending : ''
  return {
    ...FIRST,
    version: Number(fields.version ?? 0),
    paused: fields.paused === '1',
    ending,
    tracking: fields.tracking === '1',
    frozen: fields.frozen === '1',
    grouping: fields.grouping === 'whole' ? 'whole' : 'apart',
    round: fields.round,
  }
}

/** The fields of a change, for HSET. */
export function controlFields(change: Partial<Omit<Control, 'version'>>): string[] {
  return Object.entries(change).flatMap(([name, value]) => [
    name,
    typeof value === 'boolean' ? (value ? '1' : '0') : String(value),
  ])
}

/**
 * Changes the control record in one step, gives it a new version and wakes the workers; gives the version.
 * KEYS: control, orders. ARGV: fields and values.
 */
export const CHANGE_CONTROL = `
if #ARGV > 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'c', version)
return version`
