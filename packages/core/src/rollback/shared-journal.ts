import { deserialize, serialize } from 'node:v8'
import type { DirtyKey, SnapshotRecord } from '@ferrite-migrate/contracts'
import { FingerprintMap } from '@ferrite-migrate/protocol'
import { revived } from '../records/revived.js'
import type { Undo } from './undo-journal.js'

/** A key that has an entry. */
export interface JournaledKey extends DirtyKey {
  /** It was not there before. */
  readonly created: boolean
}

/** An undo journal that every machine reaches which runs shards of the migration. */
export interface SharedJournal {
  /** Begins an empty one. */
  begin(): Promise<void>
  /** False = it was never begun, is removed, or whoever kept it has lost it. */
  exists(): Promise<boolean>
  /**
   * Keeps what these keys were; what is known of a key already stays. Kept when it resolves.
   * @throws MigrateError FM_UNDO_FULL, or what its server is away with
   */
  keep(entries: readonly Undo[]): Promise<void>
  /** Pages of all keys that have entries, some of them perhaps twice. */
  keys(): AsyncIterable<readonly JournaledKey[]>
  /** Pages of all entries, some of them perhaps twice. */
  entries(): AsyncIterable<readonly Undo[]>
  /** These are as they were again. */
  drop(keys: readonly DirtyKey[]): Promise<void>
  remove(): Promise<void>
}

/** What one process knows of a shared journal: which keys have entries, 24 to 48 bytes a key. */
export class SharedEntries {
  private readonly shared: SharedJournal
  /** 1 = it was not there before. */
  private readonly known = new FingerprintMap()

  constructor(shared: SharedJournal) {
    this.shared = shared
  }

  /** Looks which keys have entries of other processes. */
  async refresh(): Promise<void> {
    for await (const page of this.shared.keys())
      for (const { db, key, created } of page) this.known.add(db, key, created ? 1 : 0)
  }

  has(db: number, key: Buffer): boolean {
    return this.known.get(db, key) !== undefined
  }

  /** True for a key that was not there before. */
  created(db: number, key: Buffer): boolean {
    return this.known.get(db, key) === 1
  }

  /** @throws MigrateError FM_UNDO_FULL, or what its server is away with */
  async keep(entries: readonly Undo[]): Promise<void> {
    await this.shared.keep(entries)
    for (const { db, key, before } of entries) this.known.add(db, key, before === null ? 1 : 0)
  }
}

/** What a key was, as bytes. */
export function packUndo({ value, expireAt }: SnapshotRecord): Buffer {
  if (value.form === 'sliced') throw new Error('a sliced value in the undo journal')
  return serialize({ value, expireAt })
}

/** What a key was, of bytes that `packUndo` made. @throws Error for others */
export function unpackUndo({ db, key }: DirtyKey, packed: Buffer): SnapshotRecord {
  const { value, expireAt } = revived<Pick<SnapshotRecord, 'value' | 'expireAt'>>(deserialize(packed))
  return { db, key, value, expireAt }
}
