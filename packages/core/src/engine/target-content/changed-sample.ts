import { type ChangeRecord, type DirtyKey, type KeyReader, MigrateError } from '@ferrite-migrate/contracts'
import { commandSpecOf, touchedKeys } from '@ferrite-migrate/protocol'
import { DirtySet } from '../../records/dirty-set.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { RecordTransform } from '../../transform/record-transform.js'

/** Keys that are remembered, and of each batch the last ones. */
const KEPT = 64
const OF_EACH = 4
/** So few tell nothing. */
const FEWEST = 3

/** A few of the keys that changed last, to be looked for at the target. */
export class ChangedSample {
  private readonly recent = new DirtySet()

  /** @param filter what it does not take is not at the target, and says nothing */
  note(records: readonly ChangeRecord[], filter: Pick<RecordFilter, 'takesKey'>): void {
    for (let i = Math.max(0, records.length - OF_EACH); i < records.length; i++) {
      const { name, argv, db } = records[i]
      const spec = commandSpecOf(name)
      if (spec.kind !== 'write') continue
      const [key] = touchedKeys(spec, argv, db)
      if (key !== undefined && filter.takesKey(key.db, key.key)) this.noteKey(key)
    }
  }

  noteKey({ db, key }: DirtyKey): void {
    this.recent.delete(db, key)
    this.recent.add(db, Buffer.from(key))
    if (this.recent.size > KEPT) this.recent.take(1)
  }

  /**
   * Counts the keys that the source has and the target has not.
   * @throws MigrateError FM_TARGET_KEEPS_NOTHING when the target has none of them
   */
  async check(source: KeyReader, target: KeyReader, transform: RecordTransform): Promise<number> {
    let looked = 0
    let missing = 0
    for (const keys of byDatabase(this.recent)) {
      const names = await transform.names(keys)
      const here = await source.exist(
        keys[0].db,
        keys.map(({ key }) => key),
      )
      const wanted = names.filter((name, i): name is DirtyKey => name !== null && here[i])
      looked += wanted.length
      for (const some of byDatabase(wanted)) {
        const there = await target.exist(
          some[0].db,
          some.map(({ key }) => key),
        )
        missing += there.filter((one) => !one).length
      }
    }
    if (looked >= FEWEST && missing === looked)
      throw new MigrateError(
        'FM_TARGET_KEEPS_NOTHING',
        `the last changes were answered with OK, and the target has none of ${looked} keys that were looked for`,
        'Look what stands between here and the target, or what removes keys there; then go on with --resume.',
      )
    return missing
  }
}

function byDatabase(keys: Iterable<DirtyKey>): DirtyKey[][] {
  const dbs = new Map<number, DirtyKey[]>()
  for (const key of keys) {
    const list = dbs.get(key.db)
    if (list === undefined) dbs.set(key.db, [key])
    else list.push(key)
  }
  return [...dbs.values()]
}
