import type { ChangeRecord, Target } from '@ferrite-migrate/contracts'
import { commandRecord } from '@ferrite-migrate/protocol'
import type { RecordFilter } from '../../records/key-filter.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { VanishedKeys } from '../snapshot/vanished-keys.js'
import type { ForeignKeys } from '../target-content/foreign-keys.js'

/** The target, and which of its keys are of this migration. */
export interface FlushedKeysNeeds {
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly foreign: ForeignKeys | null
}

/**
 * A FLUSHALL or FLUSHDB of the source under a filter or other names: deletions of those target keys that this migration may
 * touch. What was written before must be durable.
 * @param dbs databases of the source, [] = all
 */
export async function flushCommands(
  options: FlushedKeysNeeds,
  vanished: VanishedKeys,
  dbs: readonly number[],
): Promise<ChangeRecord[]> {
  const commands: ChangeRecord[] = []
  const reader = options.target.reader()
  try {
    for await (const page of reader.keys()) {
      const keys = page.filter(({ db, key }) => belongs(options, vanished, db, key, dbs)).map(({ key }) => key)
      if (keys.length > 0) commands.push(commandRecord(page[0].db, [Buffer.from('DEL'), ...keys], Date.now()))
    }
  } finally {
    await reader.close()
  }
  return commands
}

/** True for target keys that belong to what was flushed at the source. */
function belongs(
  { filter, transform, foreign }: FlushedKeysNeeds,
  vanished: VanishedKeys,
  db: number,
  key: Buffer,
  dbs: readonly number[],
): boolean {
  // What is to stay is not flushed either.
  if (foreign !== null && foreign.policy !== 'replace' && foreign.has(db, key)) return false
  // Of several shards one empties only what is its own.
  if (vanished.knowsOwn && !vanished.isOwn(db, key)) return false
  const hit = (from: number): boolean => dbs.length === 0 || dbs.includes(from)
  if (!transform.renames) return hit(db) && filter.takesKey(db, key)
  const originals = transform.originals(db, key)
  if (originals !== null) return originals.some((one) => hit(one.db) && filter.takesKey(one.db, one.key))
  // Nobody can tell what it was called: only what this migration wrote may go.
  return transform.cameFrom(db).some(hit) && vanished.mayDelete(db, key)
}
