import type { RecordFilter } from '../records/key-filter.js'
import type { RecordTransform } from './record-transform.js'

/** The keys of a target that may be this migration's, by their names there. */
export class TargetKeys {
  private readonly filter: RecordFilter
  private readonly transform: RecordTransform

  constructor(filter: RecordFilter, transform: RecordTransform) {
    this.filter = filter
    this.transform = transform
  }

  /** True also where a rule hides what a key was called at the source. */
  takesKey(db: number, key: Buffer): boolean {
    if (!this.transform.renames) return this.filter.takesKey(db, key)
    const originals = this.transform.originals(db, key)
    return originals === null || originals.some((one) => this.filter.takesKey(one.db, one.key))
  }
}
