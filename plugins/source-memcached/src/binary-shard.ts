import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { MigrateError, type ReadRequest, type Shard, type SourceEvent } from '@ferrite-migrate/contracts'
import { PackedValues } from '@ferrite-migrate/protocol'
import type { FlagForm } from './flag-form.js'
import type { MemcachedEndpoint } from './memcached-endpoint.js'

/** What is used of memjs, which brings no types. */
interface MemjsClient {
  get(key: string): Promise<{ value: Buffer | null; flags: Buffer | null }>
  close(): void
}
const memjs = createRequire(import.meta.url)('memjs') as {
  Client: { create(servers: string, options: Record<string, unknown>): MemjsClient }
}

export interface BinaryShardOptions {
  readonly endpoints: readonly MemcachedEndpoint[]
  readonly form: FlagForm
  readonly batchSize: number
  readonly keysFile: string
}

/**
 * Servers that allow nothing but the binary protocol (SASL): it cannot list keys and does not tell expiries, so the keys
 * come from a file and every item is carried without an end.
 */
export class BinaryShard implements Shard {
  readonly id = '0'
  private readonly options: BinaryShardOptions

  constructor(options: BinaryShardOptions) {
    this.options = options
  }

  async *read({ signal }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { endpoints, form, batchSize, keysFile } = this.options
    const keys = readKeys(keysFile)
    const [{ username, password }] = endpoints
    const client = memjs.Client.create(endpoints.map(({ host, port }) => `${host}:${port}`).join(','), {
      ...(password === undefined ? {} : { username: username ?? '', password }),
      retries: 2,
      timeout: 5,
      // It would write to the screen.
      logger: { log: () => undefined },
    })
    const packed = new PackedValues()
    let missed = 0
    try {
      yield { kind: 'sync', mode: 'full', keys: keys.length }
      for (let from = 0; from < keys.length && !signal.aborted; from += batchSize) {
        const part = keys.slice(from, from + batchSize)
        const answers = await Promise.all(part.map((key) => client.get(key))).catch((cause: unknown) => {
          throw new MigrateError(
            'FM_CONNECT_LOST',
            `the Memcached broke off: ${(cause as Error | undefined)?.message ?? 'no answer'}`,
            'Start again once it answers.',
            { cause },
          )
        })
        for (const [i, { value, flags }] of answers.entries()) {
          if (value === null) {
            missed++
            continue
          }
          const carried = form.carry({ value, flags: flags?.readUInt32BE(0) ?? 0, ttl: -1 })
          packed.add(0, Buffer.from(part[i]), carried.value, 0, carried.prefix)
        }
        const { byteLength } = packed
        yield { kind: 'snapshot', records: packed.take(), byteLength }
      }
      if (missed > 0)
        yield { kind: 'left-out', what: 'key of the list that the server does not have', count: missed, examples: [] }
      yield { kind: 'snapshot-end' }
    } finally {
      client.close()
    }
  }
}

function readKeys(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split(/\r?\n/)
      .filter((line) => line !== '')
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `the list of keys ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Check the path and its permissions.',
      { cause },
    )
  }
}
