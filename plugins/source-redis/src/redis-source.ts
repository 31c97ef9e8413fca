import {
  type AdapterContext,
  type Finding,
  type KeyReader,
  MigrateError,
  type Shard,
  type Source,
  type SourceCapabilities,
} from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import {
  handshakeError,
  parseEndpoint,
  RedisKeyReader,
  RedisLink,
  type WireTrace,
  wireTrace,
} from '@ferrite-migrate/redis'
import { examineSource, type SourceFacts, sourceFindings } from './preflight.js'
import { PsyncShard } from './psync-shard.js'
import { ScanShard } from './scan-shard.js'

/** A Redis, Valkey or Ferrite server as a source. */
export class RedisSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly shards: readonly Shard[]
  readonly description: Readonly<Record<string, string>>
  readonly relativeExpiry: boolean
  private readonly facts: SourceFacts
  private readonly capture: 'psync' | 'notifications'
  private readonly makeReader: () => RedisKeyReader

  private constructor(context: AdapterContext, facts: SourceFacts, capture: 'psync' | 'notifications') {
    const { options, logger, tempDir } = context
    const endpoint = parseEndpoint(context.url, options)
    const trace: WireTrace | null = wireTrace(logger, 'source')
    const sliceLimit = Number(options['slice-limit'])
    const batchSize = Number(options['batch-size'])
    const retryMs = Number(options['sync-timeout'])
    this.facts = facts
    this.capture = capture
    this.makeReader = () =>
      new RedisKeyReader(endpoint, { ferrite: facts.ferrite, sliceLimit, trace, digest: { fieldExpiry: true } })
    this.relativeExpiry = facts.major < 7
    this.capabilities =
      capture === 'psync'
        ? { changes: 'lossless', resume: 'changes', uniqueKeys: true }
        : { changes: facts.ferrite ? 'none' : 'lossy', resume: 'none' }
    this.description = {
      product: facts.product,
      version: facts.version,
      role: facts.role,
      capture,
      'capture chosen because':
        capture === 'psync' ? 'the source allows PSYNC' : facts.psyncRefusal || 'it was asked for',
      keys: String(facts.keys),
    }
    this.shards = [
      capture === 'psync'
        ? new PsyncShard('0', {
            endpoint,
            logger,
            batchSize,
            sliceLimit,
            retryMs,
            trace,
            keys: facts.keys,
            clockSkewMs: facts.clockSkewMs,
            spool: {
              directory: tempDir,
              memoryLimit: Number(options['spool-memory']),
              diskLimit: Number(options['spool-limit']),
            },
          })
        : new ScanShard('0', {
            endpoint,
            logger,
            batchSize,
            retryMs,
            sweepIntervalMs: Number(options['sweep-interval']),
            configure: options['configure-notifications'] === true,
            reader: this.makeReader,
          }),
    ]
  }

  /** @throws MigrateError when the source cannot be reached or does not allow what was asked for */
  static async open(context: AdapterContext): Promise<RedisSource> {
    const endpoint = parseEndpoint(context.url, context.options)
    const link = await RedisLink.open(endpoint)
    try {
      const facts = await examineSource(link)
      const wanted = String(context.options.capture)
      if (wanted === 'psync' && facts.psyncRefusal !== '')
        throw new MigrateError(
          'FM_PSYNC_REFUSED',
          `${endpoint.label} refuses PSYNC: ${facts.psyncRefusal}`,
          'Use --capture notifications, or give the user the rights listed in docs/permissions.md.',
        )
      const capture = wanted === 'notifications' || facts.psyncRefusal !== '' ? 'notifications' : 'psync'
      return new RedisSource(context, facts, capture)
    } catch (error) {
      throw error instanceof ReplyError ? handshakeError(endpoint, error.message) : error
    } finally {
      link.close()
    }
  }

  async preflight(): Promise<readonly Finding[]> {
    return sourceFindings(this.facts, this.capture)
  }

  reader(): KeyReader {
    return this.makeReader()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Readers and scans close their own connections.
    for (const shard of this.shards) if (shard instanceof PsyncShard) await shard.close()
  }
}
