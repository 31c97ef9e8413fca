import type { SnapshotRecord } from './record.js'

export interface Transform extends Partial<AsyncDisposable> {
  /** Pure and synchronous; null drops the key. */
  key?(key: Buffer, db: number): Buffer | null
  /** One call a batch, so that a sandbox is crossed once. Records keep their order; null drops one. */
  values?(records: readonly SnapshotRecord[]): Promise<readonly (SnapshotRecord | null)[]>
}
