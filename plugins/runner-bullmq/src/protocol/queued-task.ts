import { readFileSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'
import { hasSecret, type ShardTask, storableConfig } from '@ferrite-migrate/core'

/** Rules and scripts are small. */
const FILE_BYTES = 4 << 20

/** What the workers of a migration are told: no password, and nothing that only one machine has. */
export interface QueuedTask {
  readonly version: 1
  /** Without shards of its own: each job names its. */
  readonly task: Omit<ShardTask, 'worker' | 'paused' | 'plugins' | 'directory' | 'config'>
  /** As JSON. */
  readonly config: string
  /** Whether an end wants a password, which each worker has of its own. */
  readonly secrets: { readonly source: boolean; readonly target: boolean }
  /** The rules and the script, which workers do not have as files. */
  readonly files: { readonly transform?: string; readonly transformScript?: string }
  /** When the migration began, ms. */
  readonly startedAt: number
}

/** @throws MigrateError FM_FILE_UNREADABLE */
export function queuedTask(task: Omit<ShardTask, 'worker'>, startedAt: number): QueuedTask {
  const { config, plugins: _, directory: __, paused: ___, ...rest } = task
  const transform = textOf(config.transform)
  const transformScript = textOf(config.transformScript)
  return {
    version: 1,
    task: rest,
    config: storableConfig(config),
    secrets: {
      source: hasSecret(config.source, config.sourceOptions),
      target: hasSecret(config.target, config.targetOptions),
    },
    files: {
      ...(transform === undefined ? {} : { transform }),
      ...(transformScript === undefined ? {} : { transformScript }),
    },
    startedAt,
  }
}

function textOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length <= FILE_BYTES) return text
    throw new Error(`it has more than ${FILE_BYTES} bytes`)
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `${path} cannot be handed to the workers: ${(cause as Error).message}`,
      'Check the path and its permissions.',
      { cause },
    )
  }
}
