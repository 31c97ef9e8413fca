import type { AdapterContext, Source } from '@ferrite-migrate/contracts'
import type { FlagForm } from './flag-form.js'
import type { MemcachedEndpoint } from './memcached-endpoint.js'
import { MemcachedLink } from './memcached-link.js'
import { MemcachedReader } from './memcached-reader.js'
import { MemcachedShard } from './memcached-shard.js'
import { examineServers } from './server-facts.js'

/** Servers that list their keys: one shard each. */
export async function openTextSource(
  endpoints: readonly MemcachedEndpoint[],
  form: FlagForm,
  { options, tempDir, signal, logger }: AdapterContext,
): Promise<Source> {
  const open = endpoints.map((endpoint) => () => MemcachedLink.open(endpoint))
  const { versions, items, findings } = await examineServers(open)
  const shards = endpoints.map(
    (endpoint, i) =>
      new MemcachedShard(endpoints.length === 1 ? '0' : shardId(endpoint), {
        open: open[i],
        form,
        batchSize: Number(options['batch-size']),
        maxRate: Number(options['max-rate']),
        pollIntervalMs: Number(options['poll-interval']),
        retryMs: Number(options['sync-timeout']),
        tempDir,
        logger,
      }),
  )
  return {
    // Whole seconds of a clock that ticks once a second, taken at two times.
    capabilities: { changes: 'lossy', changesBy: 'polling', resume: 'none', expiryPrecisionMs: 2000 },
    shards,
    description: {
      product: 'Memcached',
      version: [...new Set(versions)].join(', '),
      servers: String(endpoints.length),
      items: String(items),
      capture: 'watch and dumps',
      flags: form.policy,
    },
    preflight: async () => findings,
    reader: () => new MemcachedReader(open, form, tempDir, signal),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function shardId({ host, port }: MemcachedEndpoint): string {
  return `${host}-${port}`.replace(/[^A-Za-z0-9-]/g, '_')
}
