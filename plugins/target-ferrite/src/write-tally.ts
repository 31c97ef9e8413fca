import type { DirtyKey, Failure, NotCarried, SnapshotRecord, WriteResult } from '@ferrite-migrate/contracts'

/** What has become of a batch so far. */
export class WriteTally implements WriteResult {
  written = 0
  skipped = 0
  deleted = 0
  byteLength = 0
  readonly failed: Failure[] = []
  readonly notCarried: NotCarried[] = []

  /** Notes a record that was not written; copies its key. */
  fail({ db, key }: SnapshotRecord, reason: string, code: Failure['code']): void {
    this.failed.push({ db, key: Buffer.from(key), reason, code })
  }

  /** The keys of the failures from this one on. */
  dirtyKeys(from = 0): DirtyKey[] {
    return this.failed.slice(from).flatMap(({ db, key }) => (key === null ? [] : [{ db, key }]))
  }
}
