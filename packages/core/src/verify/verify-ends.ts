import { type AdapterContext, MigrateError, type Source } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { openForReading, type ReadEnds } from '../ends/read-ends.js'
import type { CompareProgress } from './compare-progress.js'
import { verifyFile } from './file-verification.js'
import { verifySnapshots } from './snapshot-pair.js'
import { Verifier } from './verifier.js'
import type { VerifyOptions, VerifyReport } from './verify-report.js'

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
  const replicates = (end: Source): boolean => end.capabilities.changesBy === 'replication'
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
