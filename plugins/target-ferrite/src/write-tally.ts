import type { DirtyKey, Failure, NotCarried, SnapshotRecord, WriteResult } from '@ferrite-migrate/contracts'

/** A record that has to go to another node, or to the same one later. */
export interface Moved {
  readonly record: SnapshotRecord
  /** The node's words. */
  readonly text: string
}

/** What has become of a batch so far. */
export class WriteTally implements WriteResult {
  written = 0
  skipped = 0
  deleted = 0
  byteLength = 0
  readonly failed: Failure[] = []
  readonly notCarried: NotCarried[] = []
  /** Records that a node of a cluster has not taken, since their slot is not its own, or not now; in no count. */
  readonly moved: Moved[] = []

  /** Notes a record that was not written; copies its key. */
  fail({ db, key }: SnapshotRecord, reason: string, code: Failure['code']): void {
    this.failed.push({ db, key: Buffer.from(key), reason, code })
  }

  /** Adds what has become of a part of it; what of that has moved is not over yet. */
  add({ written, skipped, deleted, byteLength, failed, notCarried }: WriteTally): void {
    this.written += written
    this.skipped += skipped
    this.deleted += deleted
    this.byteLength += byteLength
    this.failed.push(...failed)
    this.notCarried.push(...notCarried)
  }

  /** The keys of the failures from this one on. */
  dirtyKeys(from = 0): DirtyKey[] {
    return this.failed.slice(from).flatMap(({ db, key }) => (key === null ? [] : [{ db, key }]))
  }
}
