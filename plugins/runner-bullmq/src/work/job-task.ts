import { writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type MigrationConfig, passwordVariable, resolveConfig, type ShardTask } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { type RunKeys, WHOLE } from '../connection/run-keys.js'
import { shardName } from '../protocol/job-id.js'
import type { QueuedTask } from '../protocol/queued-task.js'

/** What a queued task becomes a worker's own with. */
export interface JobTaskNeeds {
  readonly link: Redis
  readonly keys: RunKeys
  /** `*` = all of them. */
  readonly shard: string
  readonly epoch: number
  readonly paused: boolean
  readonly stateDir: string
  readonly plugins: ShardTask['plugins']
  /** For the rules and the script. */
  readonly tempDir: string
}

/**
 * The task of one job on this machine: with its adapters, its files, the passwords of its environment, and where the shard was left.
 * @throws MigrateError FM_RESUME_PASSWORD
 */
export async function jobTask(
  { task, config, secrets, files, startedAt }: QueuedTask,
  needs: JobTaskNeeds,
): Promise<ShardTask> {
  const { link, keys, shard, epoch, paused, stateDir, plugins } = needs
  const given = JSON.parse(config) as MigrationConfig
  for (const end of ['source', 'target'] as const)
    if (secrets[end] && process.env[passwordVariable(end)] === undefined && !hasPlace(given, end))
      throw new MigrateError(
        'FM_RESUME_PASSWORD',
        `this worker has no password for the ${end} of ${task.migration}`,
        `Jobs carry none: set ${passwordVariable(end)} where the worker is started.`,
      )
  const errorsFile = join(stateDir, `errors-${task.migration}.ndjson`)
  const resolved = resolveConfig({ ...given, ...placed(given, files, needs.tempDir), errorsFile })
  const name = shardName(shard)
  const goesOn = task.resumed !== null || (await hasBegun(link, keys, shard))
  const resumed = {
    positions: { ...task.resumed?.positions, ...(await link.hgetall(keys.positions)) },
    held: { from: startedAt, to: Date.now() },
    inSnapshot: resolved.mode === 'snapshot',
  }
  return {
    ...task,
    ...{ paused, plugins, directory: stateDir, config: resolved },
    worker: `${name}:${epoch}`,
    shards: shard === WHOLE ? task.shards : [shard],
    whole: shard === WHOLE,
    claim: { ...task.claim, epoch, owner: `${name}.${epoch}`, former: null, shard: name },
    resumed: goesOn ? resumed : null,
  }
}

/** Somebody may have written something of this job before, alone or together with others: the target is not as it was found. */
async function hasBegun(link: Redis, keys: RunKeys, shard: string): Promise<boolean> {
  const begun = (await Promise.all([link.hkeys(keys.state), link.hkeys(keys.holders)])).flat()
  return shard === WHOLE ? begun.length > 0 : begun.includes(shard) || begun.includes(WHOLE)
}

/** The rules and the script as files of this machine. */
function placed(given: MigrationConfig, files: QueuedTask['files'], directory: string): Partial<MigrationConfig> {
  const at = (name: 'transform' | 'transformScript'): Partial<MigrationConfig> => {
    const text = files[name]
    const path = given[name]
    if (text === undefined || path === undefined) return {}
    const file = join(directory, `${name}${extname(path)}`)
    writeFileSync(file, text, { mode: 0o600 })
    return { [name]: file }
  }
  return { ...at('transform'), ...at('transformScript') }
}

/** An option says where the password is. */
function hasPlace(config: MigrationConfig, end: 'source' | 'target'): boolean {
  const options = end === 'source' ? config.sourceOptions : config.targetOptions
  return Object.keys(options ?? {}).some((name) => /password-(env|file)$/.test(name))
}
