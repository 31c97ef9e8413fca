import { type AdapterContext, type KeyReader, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import type { CompareProgress } from './compare-progress.js'
import type { ResolvedConfig } from './config.js'
import { chooseDatabases } from './databases.js'
import { RecordFilter } from './key-filter.js'
import type { Registry } from './registry.js'
import { verifySnapshots } from './snapshot-pair.js'
import { passwordVariable } from './stored-config.js'
import { databases, openTransform } from './transform/open-transform.js'
import type { RecordTransform } from './transform/record-transform.js'
import { type Difference, Verifier, type VerifyOptions, type VerifyReport } from './verifier.js'

/** Fewer keys than this are read sooner than two servers fork. */
const WORTH_KEYS = 100_000

export interface VerifyEndsOptions {
  readonly config: ResolvedConfig
  readonly registry: Registry
  readonly context: Omit<AdapterContext, 'url' | 'options'>
  readonly ttlToleranceMs: number
  readonly rounds: number
  readonly ignoreFieldExpiry: boolean
  /** `snapshots`: compare replication snapshots first; `auto`: where both servers give one, and hold enough for it to be worth it. */
  readonly read: 'auto' | 'snapshots' | 'keys'
  onProgress?(progress: CompareProgress): void
}

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

/**
 * Opens two ends for comparing them; neither is written to.
 * @throws MigrateError FM_VERIFY_UNSUPPORTED when the second one cannot be read key by key
 */
export async function openForReading(
  config: ResolvedConfig,
  registry: Registry,
  context: Omit<AdapterContext, 'url' | 'options'>,
): Promise<ReadEnds> {
  const offers = (end: 'source' | 'target'): Record<string, string | number> => {
    const password = process.env[passwordVariable(end)]
    return { inspect: 'false', 'spool-memory': '2mb', ...(password === undefined ? {} : { password }) }
  }
  let transform = await openTransform(config, registry, context)
  let source: Source | null = null
  let target: Source | null = null
  const close = async (): Promise<void> => {
    await transform.close()
    await source?.[Symbol.asyncDispose]()
    await target?.[Symbol.asyncDispose]()
  }
  try {
    const from = await registry.source(config.source, offers('source'), config.sourceOptions, context)
    source = from
    target = await registry.source(config.target, offers('target'), config.targetOptions, context)
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

/** Compares two ends both ways by value. */
export async function verifyEnds(options: VerifyEndsOptions): Promise<VerifyReport> {
  const { config, registry, context } = options
  const ends = await openForReading(config, registry, context)
  const progress = options.onProgress === undefined ? {} : { onProgress: options.onProgress }
  const settings: VerifyOptions = {
    filter: ends.filter,
    transform: ends.transform,
    digest: { fieldExpiry: !options.ignoreFieldExpiry },
    ttlToleranceMs: Math.max(options.ttlToleranceMs, ends.source.capabilities.expiryPrecisionMs ?? 0),
    rounds: options.rounds,
    pauseMs: 250,
    signal: context.signal,
    ...progress,
  }
  try {
    if (ends.sourceReader !== null) {
      const verifier = new Verifier(ends.sourceReader, ends.targetReader, settings)
      const report = (await readsSnapshots(ends, options.read))
        ? await verifySnapshots(
            { ...ends, readers: [ends.sourceReader, ends.targetReader], signal: context.signal, ...progress },
            verifier,
          )
        : null
      return report ?? (await verifier.run())
    }
    return await verifyFile(ends, settings)
  } finally {
    await ends.close()
  }
}

/** Both are servers that replicate, under one name for every key, and a snapshot is worth its fork. */
async function readsSnapshots(
  { source, target, sourceReader, transform }: ReadEnds,
  read: VerifyEndsOptions['read'],
): Promise<boolean> {
  const replicates = (end: Source): boolean => end.description.capture === 'psync'
  const able = transform.open && replicates(source) && replicates(target)
  if (read === 'snapshots' && !able)
    throw new MigrateError(
      'FM_VERIFY_UNSUPPORTED',
      'snapshots can be compared where both servers allow PSYNC, and nothing is renamed or transformed',
      'Leave --read out, or give --read keys.',
    )
  if (read !== 'auto' || !able) return read === 'snapshots'
  let keys = 0
  for (const size of (await sourceReader!.size()).values()) keys += size
  return keys >= WORTH_KEYS
}

/**
 * Compares a source that can only be read from its start to its end. What it names and the target lacks, and the other way
 * round, shows at its end.
 * @throws MigrateError FM_VERIFY_UNSUPPORTED
 */
export async function verifyFile(
  { source, targetReader, filter }: Pick<ReadEnds, 'source' | 'targetReader' | 'filter'>,
  settings: VerifyOptions,
): Promise<VerifyReport> {
  if (source.capabilities.readOnce)
    throw new MigrateError(
      'FM_VERIFY_UNSUPPORTED',
      'standard input comes only once, so it cannot be verified',
      'Keep it in a file.',
    )
  const verifier = new Verifier(targetReader, targetReader, settings)
  const seen = new FingerprintSet()
  const found: Difference[] = []
  let compared = 0
  for (const shard of source.shards) {
    for await (const event of shard.read({ signal: settings.signal, changes: false })) {
      if (event.kind === 'changes')
        throw new MigrateError(
          'FM_VERIFY_UNSUPPORTED',
          'a file of commands has no values to compare',
          'Rebuild its state: --source-option rebuild=true.',
        )
      if (event.kind !== 'snapshot') continue
      const records = event.records.filter((record) => filter.takes(record))
      for (const difference of await verifier.compareRecords(records, seen)) found.push(difference)
      compared += records.length
      settings.onProgress?.({ stage: 'compare', done: compared, total: null })
      event.release?.()
    }
  }
  const surplus = await verifier.surplus(seen)
  return verifier.report(compared + surplus.length, [...found, ...surplus], 0)
}
