import { MigrateError, type Shard, type SnapshotRecord, type Source } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import type { Difference } from '../records/difference.js'
import type { RecordFilter } from '../records/key-filter.js'
import { readPast } from '../records/sliced-record.js'
import { type ComparedReader, Verifier } from './verifier.js'
import type { VerifyOptions, VerifyReport } from './verify-report.js'

/** A source that is read from its start to its end, and what it is compared with. */
export interface VerifiedFile {
  readonly source: Pick<Source, 'capabilities' | 'commands'> & { readonly shards: readonly Pick<Shard, 'read'>[] }
  readonly targetReader: ComparedReader
  readonly filter: RecordFilter
}

/**
 * Compares a source that can only be read from its start to its end. What it names and the target lacks, and the other way
 * round, shows at its end.
 * @throws MigrateError FM_VERIFY_UNSUPPORTED
 */
export async function verifyFile(
  { source, targetReader, filter }: VerifiedFile,
  settings: VerifyOptions,
): Promise<VerifyReport> {
  if (source.capabilities.readOnce)
    throw new MigrateError(
      'FM_VERIFY_UNSUPPORTED',
      'standard input comes only once, so it cannot be verified',
      'Keep it in a file.',
    )
  // Its snapshot is what was there before the first of the commands.
  if ((source.commands?.size ?? 0) > 0) throw noValues()
  const verifier = new Verifier(targetReader, targetReader, settings)
  const seen = new FingerprintSet()
  const found: Difference[] = []
  let compared = 0
  for (const shard of source.shards) {
    for await (const event of shard.read({ signal: settings.signal, changes: false })) {
      if (event.kind === 'changes') throw noValues()
      if (event.kind !== 'snapshot') continue
      const records: SnapshotRecord[] = []
      for (const record of event.records)
        if (filter.takes(record)) records.push(record)
        else await readPast(record)
      for (const difference of await verifier.compareRecords(records, seen)) found.push(difference)
      compared += records.length
      settings.onProgress?.({ stage: 'compare', done: compared, total: null })
      event.release?.()
    }
  }
  const surplus = await verifier.surplus(seen)
  return verifier.report(compared + surplus.length, [...found, ...surplus], 0)
}

function noValues(): MigrateError {
  return new MigrateError(
    'FM_VERIFY_UNSUPPORTED',
    'a file of commands has no values to compare',
    'Rebuild its state: --source-option rebuild=true.',
  )
}
