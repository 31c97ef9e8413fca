import { type AdapterContext, type KeyReader, MigrateError, type Source } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { passwordVariable } from '../config/secrets.js'
import { RecordFilter } from '../records/key-filter.js'
import { databases, openTransform } from '../transform/open-transform.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { chooseDatabases } from './databases.js'

/** Both ends opened for reading only. */
export interface ReadEnds {
  readonly source: Source
  readonly target: Source
  /** Null for files, which are read from their start to their end. */
  readonly sourceReader: KeyReader | null
  readonly targetReader: KeyReader
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  close(): Promise<void>
}

/** What is offered to the adapter of an end that is only read. */
export function readingOffers(end: 'source' | 'target'): Record<string, string | number> {
  const password = process.env[passwordVariable(end)]
  return { inspect: 'false', 'spool-memory': '2mb', ...(password === undefined ? {} : { password }) }
}

/**
 * Opens two ends for comparing them; neither is written to.
 * @throws MigrateError FM_VERIFY_UNSUPPORTED when the second one cannot be read key by key
 */
export async function openForReading(
  config: ResolvedConfig,
  registry: Registry,
  context: Omit<AdapterContext, 'url' | 'options'>,
): Promise<ReadEnds> {
  let transform = await openTransform(config, registry, context)
  let source: Source | null = null
  let target: Source | null = null
  const close = async (): Promise<void> => {
    await transform.close()
    await source?.[Symbol.asyncDispose]()
    await target?.[Symbol.asyncDispose]()
  }
  try {
    const from = await registry.source(config.source, readingOffers('source'), config.sourceOptions, context)
    source = from
    target = await registry.source(config.target, readingOffers('target'), config.targetOptions, context)
    const targetReader = target.reader?.()
    if (targetReader === undefined)
      throw new MigrateError(
        'FM_VERIFY_UNSUPPORTED',
        'the target cannot be read key by key, so nothing can be compared with it',
        'Give a server as the target; a file may be the source.',
      )
    const sourceReader = from.reader?.() ?? null
    const choice = await chooseDatabases(config, from, target, (await sourceReader?.size()) ?? null)
    const refusal = choice.findings.find(({ level }) => level === 'fail')
    if (refusal !== undefined)
      throw new MigrateError('FM_DB_SEVERAL', refusal.text, 'Or name the databases at both ends.')
    transform = transform.withDatabases(databases(choice.dbMap))
    return {
      source: from,
      target,
      sourceReader,
      targetReader,
      filter: new RecordFilter(choice.filter),
      transform,
      close: async () => {
        await sourceReader?.close()
        await targetReader.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}
