import type { AdapterContext, Source } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { KnownValues } from '../records/known-values.js'
import { closeAdapter } from './close-adapter.js'
import { readingOffers } from './read-ends.js'
import { eachEvent } from './source-events.js'

/** Fewer are looked at sooner than a server forks. */
const WORTH_KEYS = 100_000
/** More take too much memory here: 512 MB. */
const MOST_KEYS = 16_000_000

/**
 * What a target holds, by its replication snapshot: servers send one many times faster than they answer for each key. Null = it has
 * none to give, or that is not worth it: each key has to be asked for.
 */
export async function readTargetValues(
  config: ResolvedConfig,
  registry: Registry,
  context: Omit<AdapterContext, 'url' | 'options'>,
): Promise<KnownValues | null> {
  let target: Source | null = null
  try {
    target = await registry.source(config.target, readingOffers('target'), config.targetOptions, context)
    const keys = target.capabilities.changesBy === 'replication' ? await countKeys(target) : 0
    if (keys < WORTH_KEYS || keys > MOST_KEYS) return null
    const values = new KnownValues(keys)
    await eachEvent(target, context.signal, async (_, event) => {
      if (event.kind !== 'snapshot') return
      for (const record of event.records) {
        values.add(record)
        const { value } = record
        if (value.form === 'sliced') for await (const _slice of value.slices);
      }
      event.release?.()
    })
    return context.signal.aborted ? null : values
  } catch (error) {
    // Whoever looks at each key finds out what is wrong with it, if anything is.
    context.logger.log('debug', `the target gave no snapshot of what it holds: ${(error as Error).message}`)
    return null
  } finally {
    await closeAdapter('target', target, context.logger)
  }
}

async function countKeys(target: Source): Promise<number> {
  const reader = target.reader?.()
  if (reader === undefined) return 0
  try {
    let keys = 0
    for (const size of (await reader.size()).values()) keys += size
    return keys
  } finally {
    await reader.close()
  }
}
