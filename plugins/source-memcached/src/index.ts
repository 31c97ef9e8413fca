import { type AdapterContext, type Finding, MigrateError, type Shard, type Source } from '@ferrite-migrate/contracts'
import { checkBinaryLogin } from './binary-login.js'
import { BinaryShard } from './binary-shard.js'
import type { Client } from './client-value.js'
import { FlagForm, type FlagPolicy } from './flag-form.js'
import { parseEndpoints } from './memcached-endpoint.js'
import { MemcachedLink } from './memcached-link.js'
import { MemcachedReader } from './memcached-reader.js'
import { MemcachedShard } from './memcached-shard.js'

/** @throws MigrateError FM_URL_INVALID, FM_CONFIG_INVALID, FM_CONNECT_*, FM_AUTH_* */
export async function createSource(context: AdapterContext): Promise<Source> {
  const { options, tempDir, signal, logger } = context
  const endpoints = parseEndpoints(context)
  const policy = options.flags as FlagPolicy
  if (policy === 'decode' && options.client === undefined)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      'flags mean something else to every client',
      'Say which one wrote the items: --source-option client=php, python, java or dalli.',
    )
  const form = new FlagForm(policy, (options.client as Client | undefined) ?? null)
  const batchSize = Number(options['batch-size'])
  const keysFile = options['keys-file'] as string | undefined
  if (options.protocol === 'binary') {
    if (keysFile === undefined)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'the binary protocol cannot list keys',
        'Give them by --source-option keys-file=FILE, one a line.',
      )
    for (const endpoint of endpoints) await checkBinaryLogin(endpoint)
    return {
      capabilities: { changes: 'none', resume: 'none' },
      shards: [new BinaryShard({ endpoints, form, batchSize, keysFile })],
      description: { product: 'Memcached', protocol: 'binary', capture: 'keys of a file' },
      preflight: async (): Promise<readonly Finding[]> => [
        {
          level: 'warn',
          code: 'source-no-expiry',
          text: 'the binary protocol does not tell when items end: they are carried without an expiry',
        },
      ],
      [Symbol.asyncDispose]: async () => undefined,
    }
  }
  const open = endpoints.map((endpoint) => () => MemcachedLink.open(endpoint))
  const findings: Finding[] = []
  const versions: string[] = []
  let items = 0
  for (const one of open) {
    const link = await one()
    try {
      const stats = await link.stats()
      const settings = await link.stats('settings')
      versions.push(stats.get('version') ?? '?')
      items += Number(stats.get('curr_items') ?? 0)
      const evictions = Number(stats.get('evictions') ?? 0)
      if (evictions > 0)
        findings.push({
          level: 'warn',
          code: 'source-evicts',
          text: `${link.name} has evicted ${evictions} items: it is full, and may evict others while it is read`,
        })
      if (settings.get('lru_crawler') === 'no')
        findings.push({
          level: 'warn',
          code: 'source-crawler',
          text: `${link.name} has its LRU crawler switched off; it is switched on to list the keys`,
        })
    } finally {
      link.close()
    }
  }
  findings.push({
    level: 'info',
    code: 'source-lossy',
    only: 'changes',
    text: 'a Memcached tells of no deletion, touch or increment: live mode finds these by comparing dumps (poll-interval)',
  })
  const shards: Shard[] = endpoints.map(
    ({ host, port }, i) =>
      new MemcachedShard(endpoints.length === 1 ? '0' : `${host}-${port}`.replace(/[^A-Za-z0-9-]/g, '_'), {
        open: open[i],
        form,
        batchSize,
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
      flags: policy,
    },
    preflight: async () => findings,
    reader: () => new MemcachedReader(open, form, tempDir, signal),
    [Symbol.asyncDispose]: async () => undefined,
  }
}
