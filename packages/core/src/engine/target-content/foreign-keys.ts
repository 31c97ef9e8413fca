import {
  type ChangeRecord,
  type DirtyKey,
  MigrateError,
  type SnapshotRecord,
  type Target,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, FingerprintSet, touchedKeys } from '@ferrite-migrate/protocol'
import { printableKey } from '../../records/printable-key.js'
import type { TargetKeys } from '../../transform/target-keys.js'

export type ConflictPolicy = 'replace' | 'skip' | 'fail'

export interface ForeignKeysOptions {
  readonly target: Target
  readonly targetKeys: TargetKeys
  readonly policy: ConflictPolicy
  /** True for keys that a former process of this migration wrote. */
  wrote(db: number, key: Buffer): boolean
}

/** Commands of a batch after those were taken out that would build upon what is not this migration's. */
export interface Parted {
  readonly records: readonly ChangeRecord[]
  /** Names at the target whose values have to come whole from the source. */
  readonly reread: readonly DirtyKey[]
  /** Commands that are left out, since their keys are to stay as they are. */
  readonly skipped: number
}

/**
 * The keys that a target had before and that this migration has not written. A command of the source builds upon what the
 * source has: upon a foreign value it would make one that neither end ever had. Sixteen to 64 bytes a key.
 */
export class ForeignKeys {
  readonly policy: ConflictPolicy
  private readonly there: FingerprintSet
  private readonly claimed = new FingerprintSet()

  private constructor(policy: ConflictPolicy, there: FingerprintSet) {
    this.policy = policy
    this.there = there
  }

  /** Reads the names of the target; null = all that is there is this migration's. */
  static async find({ target, targetKeys, policy, wrote }: ForeignKeysOptions): Promise<ForeignKeys | null> {
    const there = new FingerprintSet()
    const reader = target.reader()
    try {
      for await (const page of reader.keys())
        for (const { db, key } of page) if (targetKeys.takesKey(db, key) && !wrote(db, key)) there.add(db, key)
    } finally {
      await reader.close()
    }
    return there.size === 0 ? null : new ForeignKeys(policy, there)
  }

  has(db: number, key: Buffer): boolean {
    return this.there.has(db, key) && !this.claimed.has(db, key)
  }

  /** These are written whole, over what is there. Keys that are to stay are nobody's. */
  claim(keys: readonly DirtyKey[]): void {
    if (this.policy !== 'replace') return
    for (const { db, key } of keys) if (this.there.has(db, key)) this.claimed.add(db, key)
  }

  /**
   * Records without those that are to stay as the target has them.
   * @throws MigrateError FM_TARGET_CONFLICT under `fail`
   */
  spare<T extends SnapshotRecord | DirtyKey>(records: readonly T[]): readonly T[] {
    if (this.policy === 'replace' || !records.some(({ db, key }) => this.has(db, key))) return records
    return records.filter(({ db, key }) => {
      if (!this.has(db, key)) return true
      this.refuse(key)
      return false
    })
  }

  /**
   * Takes out of commands, as named at the target, what touches foreign keys; null = none does.
   * @param whole true = the values of such keys can be read from the source; else they are deleted before the command
   * @throws MigrateError FM_TARGET_CONFLICT under `fail`
   */
  part(
    records: readonly ChangeRecord[],
    whole: boolean,
    del: (db: number, keys: Buffer[], at: number | undefined) => ChangeRecord,
  ): Parted | null {
    if (!records.some((record) => this.touches(record).length > 0)) return null
    const kept: ChangeRecord[] = []
    const reread: DirtyKey[] = []
    const taken: DirtyKey[] = []
    let skipped = 0
    for (const record of records) {
      const foreign = this.touches(record)
      if (foreign.length === 0) {
        kept.push(record)
        continue
      }
      if (this.policy !== 'replace') {
        this.refuse(foreign[0].key)
        skipped++
        // What it does to others is known only by reading these.
        for (const one of touchedKeys(commandSpecOf(record.name), record.argv, record.db))
          if (!this.has(one.db, one.key)) reread.push({ db: one.db, key: Buffer.from(one.key) })
      } else if (whole) {
        for (const one of touchedKeys(commandSpecOf(record.name), record.argv, record.db))
          reread.push({ db: one.db, key: Buffer.from(one.key) })
        // Later commands of this batch on the same keys are part of what is read.
        for (const one of foreign) taken.push({ db: one.db, key: Buffer.from(one.key) })
      } else {
        // The source had no key of that name before this command.
        kept.push(
          del(
            foreign[0].db,
            foreign.map(({ key }) => Buffer.from(key)),
            record.at,
          ),
          record,
        )
        this.claim(foreign)
      }
    }
    this.claim(taken)
    return { records: kept, reread, skipped }
  }

  private touches(record: ChangeRecord): DirtyKey[] {
    const spec = commandSpecOf(record.name)
    if (spec.kind !== 'write') return []
    return touchedKeys(spec, record.argv, record.db).filter(({ db, key }) => this.has(db, key))
  }

  private refuse(key: Buffer): void {
    if (this.policy === 'fail')
      throw new MigrateError(
        'FM_TARGET_CONFLICT',
        `the target already has the key ${printableKey(key)}`,
        'Empty the target, or choose --on-conflict replace or skip.',
      )
  }
}
