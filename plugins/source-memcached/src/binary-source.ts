import { type AdapterContext, type Finding, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { checkBinaryLogin } from './binary-login.js'
import { BinaryShard } from './binary-shard.js'
import type { FlagForm } from './flag-form.js'
import type { MemcachedEndpoint } from './memcached-endpoint.js'

const NO_EXPIRY: Finding = {
  level: 'warn',
  code: 'source-no-expiry',
  text: 'the binary protocol does not tell when items end: they are carried without an expiry',
}

/** Servers that speak the binary protocol only: the items of the keys that a file names. */
export async function openBinarySource(
  endpoints: readonly MemcachedEndpoint[],
  form: FlagForm,
  { options }: AdapterContext,
): Promise<Source> {
  const keysFile = options['keys-file'] as string | undefined
  if (keysFile === undefined)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      'the binary protocol cannot list keys',
      'Give them by --source-option keys-file=FILE, one a line.',
    )
  for (const endpoint of endpoints) await checkBinaryLogin(endpoint)
  return {
    capabilities: { changes: 'none', resume: 'none' },
    shards: [new BinaryShard({ endpoints, form, batchSize: Number(options['batch-size']), keysFile })],
    description: { product: 'Memcached', protocol: 'binary', capture: 'keys of a file' },
    preflight: async () => [NO_EXPIRY],
    [Symbol.asyncDispose]: async () => undefined,
  }
}
