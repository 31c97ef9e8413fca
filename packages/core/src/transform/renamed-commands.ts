import type { ChangeRecord, DirtyKey } from '@ferrite-migrate/contracts'
import { commandRecord, commandSpecOf, keyPositions, touchedKeys } from '@ferrite-migrate/protocol'
import { DirtySet } from '../records/dirty-set.js'
import type { RecordTransform } from './record-transform.js'

/** Commands of the stream under the names at the target. */
export interface RenamedCommands {
  readonly records: readonly ChangeRecord[]
  /** Keys of commands that cannot be renamed as a whole: to be read again. */
  readonly dirty: readonly DirtyKey[]
  /** Keys that these commands write to, and the names they get; the two lists go together. */
  readonly written: { readonly keys: readonly DirtyKey[]; readonly names: readonly (DirtyKey | null)[] }
  /** What a key of the target that one of these commands names is called at the source. */
  original(db: number, key: Buffer): DirtyKey | null
}

/** Rewrites every key of every command; MULTI and EXEC keep their places. */
export async function renameCommands(
  records: readonly ChangeRecord[],
  transform: RecordTransform,
): Promise<RenamedCommands> {
  const keys: DirtyKey[] = []
  const plans = records.map((record) => {
    const spec = commandSpecOf(record.name)
    if (spec.kind !== 'write') return null
    const { argv } = record
    const positions = keyPositions(spec, argv)
    const first = keys.length
    for (const at of positions) keys.push({ db: record.db, key: argv[at] })
    return { spec, argv, positions, first }
  })
  const names = await transform.names(keys)
  const dirty: DirtyKey[] = []
  const renamed: ChangeRecord[] = []
  for (const [i, record] of records.entries()) {
    const plan = plans[i]
    if (plan === null) {
      renamed.push(record)
      continue
    }
    const { argv, positions, first } = plan
    const mapped = names.slice(first, first + positions.length)
    const kept = mapped.filter((name) => name !== null)
    if (kept.length < positions.length || kept.some(({ db }) => db !== kept[0].db)) {
      // Keys that are left out are somebody's names only at the source: what the command made of the others is read.
      for (const key of touchedKeys(plan.spec, argv, record.db)) dirty.push(key)
      continue
    }
    const changed = [...argv]
    for (const [n, at] of positions.entries()) changed[at] = kept[n].key
    renamed.push(commandRecord(kept[0]?.db ?? record.db, changed, record.receivedAt, record.at))
  }
  const written = { keys: [] as DirtyKey[], names: [] as (DirtyKey | null)[] }
  for (const plan of plans) {
    if (plan === null || plan.spec.name === 'DEL' || plan.spec.name === 'UNLINK') continue
    for (let at = plan.first; at < plan.first + plan.positions.length; at++) {
      written.keys.push(keys[at])
      written.names.push(names[at])
    }
  }
  return { records: renamed, dirty, written, original: (db, key) => originalOf(keys, names, db, key) }
}

function originalOf(
  keys: readonly DirtyKey[],
  names: readonly (DirtyKey | null)[],
  db: number,
  key: Buffer,
): DirtyKey | null {
  const wanted = new DirtySet()
  wanted.add(db, key)
  const at = names.findIndex((name) => name !== null && wanted.has(name.db, name.key))
  return at < 0 ? null : keys[at]
}
