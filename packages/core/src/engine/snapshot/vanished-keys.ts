import type { Target } from '@ferrite-migrate/contracts'
import {
  type ChangeRecord,
  counted,
  type DirtyKey,
  type KeyReader,
  type Shard,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, FingerprintSet, touchedKeys } from '@ferrite-migrate/protocol'
import type { ResolvedConfig } from '../../config/config.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { KnownValues } from '../../records/known-values.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { TargetKeys } from '../../transform/target-keys.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { KnownDatabases } from './known-databases.js'
import type { SeenKeys } from './seen-keys.js'

/** The target, and which of its keys may be this migration's. */
export interface VanishedKeysNeeds {
  readonly config: Pick<ResolvedConfig, 'deleteExtra'>
  readonly target: Target
  readonly targetKeys: TargetKeys
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly targetWasEmpty: boolean
  /** Null = nobody has kept them: any may be this migration's. */
  readonly databases: KnownDatabases | null
  wrote(db: number, key: Buffer): boolean
  onNote(type: string, text: string): void
}

const NO_KEY = Buffer.alloc(0)

/** Finds and deletes target keys that the source no longer has, where nothing told of their end. */
export class VanishedKeys {
  private readonly options: VanishedKeysNeeds
  private readonly lanes: ShardLanes
  private readonly lane: number
  /** What the snapshot that is being read holds; null = nobody needs to know. */
  private seen: FingerprintSet | null = null
  /** What the target held before this snapshot, of which those that come are met; null = `seen` remembers what comes. */
  private known: KnownValues | null = null
  /** What all shards had when they were last read. */
  private readonly all: SeenKeys
  private readonly shard: Pick<Shard, 'id' | 'owns'>
  private kept = 0

  constructor(
    options: VanishedKeysNeeds,
    lanes: ShardLanes,
    lane: number,
    shard: Pick<Shard, 'id' | 'owns'>,
    all: SeenKeys,
  ) {
    this.options = options
    this.shard = shard
    this.all = all
    this.lanes = lanes
    this.lane = lane
  }

  /**
   * From now on remembers which keys come.
   * @param known all that the target holds: it is enough to remember which of these come
   */
  begin(known: KnownValues | null = null): void {
    this.known = known
    this.seen = known === null ? new FingerprintSet() : null
  }

  see(records: readonly SnapshotRecord[]): void {
    const { seen, known } = this
    if (seen !== null) for (const record of records) seen.add(record.db, record.key)
    else if (known !== null) for (const record of records) known.meet(record)
  }

  /** Everything was read. A first snapshot only says what there is; what vanished shows from the second one on. */
  async endSnapshot(first: boolean): Promise<void> {
    const { seen, known } = this
    this.seen = null
    this.known = null
    if (known !== null && known.unseen > 0)
      await this.deleteWhere(async (page) => page.map((one) => known.isUnseen(one) && this.mayBeOwn(one)))
    if (seen === null) return
    const ended = this.all.end(this.shard.id, seen)
    const deletes = !first || this.options.config.deleteExtra
    if (deletes && this.knowsOwn) {
      await this.deleteWhere(async (page) => page.map(({ db, key }) => !seen.has(db, key) && this.isOwn(db, key)))
      return
    }
    if (ended === null) return
    if (deletes) await this.deleteWhere(async (page) => page.map(({ db, key }) => ended.isGone(db, key)))
    this.all.settle()
  }

  /** Changes that are about to be written, by their names at the target: no snapshot holds what they make. */
  seeChanges(records: readonly ChangeRecord[]): void {
    if (!this.all.isNoting(this.shard.id)) return
    for (const { name, argv, db } of records) {
      const spec = commandSpecOf(name)
      if (spec.kind === 'write')
        for (const one of touchedKeys(spec, argv, db)) this.all.note(this.shard.id, one.db, one.key)
    }
  }

  /** Keys that are about to be written whole, by their names at the target. */
  seeKeys(keys: readonly DirtyKey[]): void {
    if (this.all.isNoting(this.shard.id)) for (const { db, key } of keys) this.all.note(this.shard.id, db, key)
  }

  /** The shard says which keys are its own, and names at the target tell what they were called. */
  get knowsOwn(): boolean {
    const { transform } = this.options
    return this.shard.owns !== undefined && (!transform.renames || transform.originals(0, NO_KEY) !== null)
  }

  private mayBeOwn({ db, key }: DirtyKey): boolean {
    return !this.knowsOwn || this.isOwn(db, key)
  }

  /** @param key as named at the target */
  isOwn(db: number, key: Buffer): boolean {
    const { transform } = this.options
    const names = transform.renames ? transform.originals(db, key) : [{ db, key }]
    return names?.some((one) => this.shard.owns?.(one.db, one.key)) ?? false
  }

  /**
   * Target keys that the source no longer has, of those that may be deleted, by their names there; null = rules give keys other names.
   */
  async gone(source: KeyReader): Promise<DirtyKey[] | null> {
    const { transform, target, targetKeys } = this.options
    if (transform.renames) return null
    const gone: DirtyKey[] = []
    const reader = target.reader()
    try {
      for await (const page of reader.keys()) {
        const keys = page.filter(
          ({ db, key }) =>
            targetKeys.takesKey(db, key) && (!this.knowsOwn || this.isOwn(db, key)) && this.mayDelete(db, key),
        )
        if (keys.length === 0) continue
        const there = await source.exist(
          keys[0].db,
          keys.map(({ key }) => key),
        )
        for (const [i, { db, key }] of keys.entries()) if (!there[i]) gone.push({ db, key: Buffer.from(key) })
      }
    } finally {
      await reader.close()
    }
    return gone
  }

  /** Asks the source which of the target's keys it still has. */
  async sweep(source: KeyReader): Promise<void> {
    const { transform, target, targetKeys } = this.options
    if (!transform.renames) {
      await this.deleteWhere(async (page) => {
        const there = await source.exist(
          page[0].db,
          page.map(({ key }) => key),
        )
        // What is another shard's may be written by that one in this moment.
        return there.map((one, i) => !one && (!this.knowsOwn || this.isOwn(page[i].db, page[i].key)))
      })
      return
    }
    // Names cannot be asked for: what was at the target before all names of the source were made, and is none of them, is gone.
    const before = new FingerprintSet()
    const reader = target.reader()
    try {
      for await (const page of reader.keys())
        for (const { db, key } of page) if (targetKeys.takesKey(db, key)) before.add(db, key)
    } finally {
      await reader.close()
    }
    const now = await namesOf(source, this.options)
    await this.deleteWhere(async (page) => page.map(({ db, key }) => before.has(db, key) && !now.has(db, key)))
  }

  private async deleteWhere(gone: (page: readonly DirtyKey[]) => Promise<readonly boolean[]>): Promise<void> {
    const { target, targetKeys, onNote } = this.options
    const reader = target.reader()
    let deleted = 0
    let kept = 0
    try {
      for await (const keys of reader.keys()) {
        const page = keys.filter(({ db, key }) => targetKeys.takesKey(db, key))
        if (page.length === 0) continue
        const flags = await gone(page)
        const vanished = page.filter((_, i) => flags[i])
        const deletes = vanished.filter(({ db, key }) => this.mayDelete(db, key))
        deleted += deletes.length
        kept += vanished.length - deletes.length
        if (deletes.length > 0)
          await this.lanes.write({ kind: 'snapshot', lane: this.lane, records: [], deletes, onConflict: 'replace' })
      }
      await this.lanes.drain()
    } finally {
      await reader.close()
    }
    if (deleted > 0)
      onNote(
        'vanished',
        `${counted(deleted, 'key')} that vanished at the source ${deleted === 1 ? 'was' : 'were'} deleted at the target`,
      )
    if (kept > 0 && kept !== this.kept)
      onNote(
        'vanished-kept',
        `${kept} target keys are not at the source; they are kept, because they may be somebody else's (--delete-extra deletes them)`,
      )
    this.kept = kept
  }

  /** Only what this migration wrote may vanish with it, unless it was asked to delete everything else as well. */
  mayDelete(db: number, key: Buffer): boolean {
    const { targetWasEmpty, config, wrote } = this.options
    return (targetWasEmpty && this.mayBeOurs(db, key)) || config.deleteExtra || this.all.has(db, key) || wrote(db, key)
  }

  /** It is in a database that something of the source went to. */
  private mayBeOurs(db: number, key: Buffer): boolean {
    const { databases, transform } = this.options
    if (databases === null) return true
    if (!transform.renames) return databases.has(db)
    const originals = transform.originals(db, key)
    return originals === null || originals.some((one) => databases.has(one.db))
  }
}

/** The names that the source's keys have at the target. */
async function namesOf(source: KeyReader, { filter, transform }: VanishedKeysNeeds): Promise<FingerprintSet> {
  const names = new FingerprintSet()
  for await (const page of source.keys()) {
    const taken = page.filter(({ db, key }) => filter.takesKey(db, key))
    for (const name of await transform.names(taken)) if (name !== null) names.add(name.db, name.key)
  }
  return names
}
