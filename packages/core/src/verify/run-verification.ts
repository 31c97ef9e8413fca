import { MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import type { RunningShards } from '../engine/running-shards.js'
import type { RecordFilter } from '../records/key-filter.js'
import type { RecordTransform } from '../transform/record-transform.js'
import type { CompareProgress } from './compare-progress.js'
import { verifyExactly } from './exact-verification.js'
import { verifyFile } from './file-verification.js'
import { Verifier } from './verifier.js'
import type { VerifyOptions, VerifyReport } from './verify-report.js'

const ROUNDS = 4
/** Expiries are read in turn at both ends: so much may lie between. */
const TTL_TOLERANCE_MS = 1000
/** Differences that are kept while they are sorted out, and those that are reported. */
const ALL = 1_000_000
const REPORTED = 1000
/** A key that is about to end lives a moment longer at the target, so that commands on their way find it. */
const ENDS_SOON_MS = 3500

export interface VerifiedRun {
  readonly source: Source
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  /** Whether a key that only the target has was there before the run; undefined = such a key is a difference. */
  readonly foreign?: (db: number, key: Buffer) => boolean
  /** Whether the end of a key (as named at the source) is held back now. */
  readonly held?: (db: number, key: Buffer) => boolean
  /** Whether a key, as named at the target, was left out by the run and told so. */
  readonly leftOut: (db: number, key: Buffer) => boolean
  /** False where ends are not carried as they are. */
  readonly comparesEnds: boolean
  /** Has all keys compared once where the shards are run; absent = they are run here. */
  readonly elsewhere?: NonNullable<VerifyOptions['elsewhere']>
  onProgress(progress: CompareProgress): void
}

/** Compares both ends of a run by value, while it goes on or at its end. */
export class RunVerification {
  private readonly of: VerifiedRun

  constructor(run: VerifiedRun) {
    this.of = run
  }

  /**
   * @param engine what follows the source meanwhile; null = nothing is written any more
   * @param signal ends the comparison
   * @param reading aborted when the source is followed no more
   * @throws MigrateError FM_VERIFY_UNSUPPORTED
   */
  async run(engine: RunningShards | null, signal: AbortSignal, reading: AbortSignal): Promise<VerifyReport> {
    const { source, target } = this.of
    if (source.reader === undefined && engine === null) return this.whole(signal)
    const report = await this.withVerifier(ROUNDS, signal, (verifier) =>
      engine === null ? verifier.run() : verifyExactly(verifier, engine, target, reading),
    )
    return { ...report, differences: report.differences.slice(0, REPORTED) }
  }

  /**
   * Calls with a verifier whose connections live as long as the call; its report names all differences that it kept.
   * @throws MigrateError FM_VERIFY_UNSUPPORTED
   */
  async withVerifier<T>(rounds: number, signal: AbortSignal, use: (verifier: Verifier) => Promise<T>): Promise<T> {
    const source = this.of.source.reader?.()
    if (source === undefined)
      throw new MigrateError(
        'FM_VERIFY_UNSUPPORTED',
        'the source cannot be read key by key, so it cannot be verified while it is followed',
        'Leave --verify out, and verify at the end.',
      )
    const target = this.of.target.reader()
    try {
      return await use(new Verifier(source, target, { ...this.settings(rounds, signal), reported: ALL }))
    } finally {
      await source.close()
      await target.close()
    }
  }

  /** A source without single keys is read once more from its start. */
  private async whole(signal: AbortSignal): Promise<VerifyReport> {
    const { source, target, filter } = this.of
    const targetReader = target.reader()
    try {
      return await verifyFile({ source, targetReader, filter }, this.settings(1, signal))
    } finally {
      await targetReader.close()
    }
  }

  private settings(rounds: number, signal: AbortSignal): VerifyOptions {
    const { source, target, filter, transform, foreign, held, leftOut, comparesEnds, elsewhere, onProgress } = this.of
    return {
      transform: transform.quiet(),
      filter,
      digest: { fieldExpiry: target.dialect.holds?.fieldExpiry ?? true },
      ttlToleranceMs: Math.max(TTL_TOLERANCE_MS, source.capabilities.expiryPrecisionMs ?? 0),
      rounds,
      pauseMs: rounds > 2 ? 250 : 50,
      signal,
      ...(foreign === undefined ? {} : { foreign }),
      ...(held === undefined ? {} : { held }),
      ...(elsewhere === undefined ? {} : { elsewhere }),
      comparesEnds,
      endsSoonMs: ENDS_SOON_MS,
      leftOut,
      onProgress,
    }
  }
}
