import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FoundPlugin, findPlugin, Registry } from '@ferrite-migrate/core'

const PLUGINS = [
  '@ferrite-migrate/source-redis',
  '@ferrite-migrate/source-rdb',
  '@ferrite-migrate/source-aof',
  '@ferrite-migrate/source-memcached',
  '@ferrite-migrate/source-jsoncsv',
  '@ferrite-migrate/target-ferrite',
  '@ferrite-migrate/runner-bullmq',
  '@ferrite-migrate/transform-jq',
  '@ferrite-migrate/transform-script',
]
/** Large, so that whoever wants it installs it. */
const OPTIONAL = '@ferrite-migrate/transform-python'

/** The adapters that come with this package, and that for Python scripts where it is installed. */
export function defaultRegistry(): Registry {
  const here = dirname(fileURLToPath(import.meta.url))
  const found: FoundPlugin[] = PLUGINS.map((name) => findPlugin(name, here))
  try {
    found.push(findPlugin(OPTIONAL, here))
  } catch {
    // A script that needs it is told so.
  }
  return new Registry(found)
}
