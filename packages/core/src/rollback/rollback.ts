import type { DirtyKey, KeyReader, SnapshotRecord, Target, WriteResult } from '@ferrite-migrate/contracts'
import { MigrateError } from '@ferrite-migrate/contracts'
import { printableKey } from '../records/printable-key.js'
import { sameValue } from '../records/value-equality.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { SourceNames } from '../transform/source-names.js'
import type { TargetKeys } from '../transform/target-keys.js'
import type { KeptUndos } from './kept-undos.js'
import type { Undo } from './undo-journal.js'

export interface RollbackOptions {
  readonly target: Target
  /** Tells whose a key is; null = cannot be asked. */
  readonly source: KeyReader | null
  /** What was there before; null = the target was empty. */
  readonly journal: KeptUndos | null
  readonly keys: TargetKeys
  readonly transform: RecordTransform
  /** The migration had handed the target over to its users. */
  readonly completed: boolean
  /** Undo also what may be somebody else's. */
  readonly force: boolean
  readonly dryRun: boolean
  readonly signal: AbortSignal
  /** Asked before each write. @throws when another process writes for the migration now */
  admit?(): void
  /** @param total null = unknown */
  onProgress?(keys: number, total: number | null): void
}

export interface RollbackReport {
  readonly dryRun: boolean
  /** Keys that the migration had created. */
  readonly removed: number
  /** Keys that have their former value and expiry again. */
  readonly restored: number
  /** Keys that were as before already. */
  readonly unchanged: number
  /** Keys that others wrote since, or may have: left as they are. */
  readonly kept: number
  readonly keptExamples: readonly string[]
  readonly failed: number
  readonly interrupted: boolean
}

const PAGE = 500
const EXAMPLES = 20
const LANE = 0

/**
 * Puts a target back as it was before a migration. Each step may be repeated, so that a rollback which was interrupted is
 * simply run again.
 */
export class Rollback {
  private readonly options: RollbackOptions
  private readonly counts = { removed: 0, restored: 0, unchanged: 0, kept: 0, failed: 0 }
  private readonly examples: string[] = []
  private readonly reader: KeyReader
  private names: SourceNames | null = null

  constructor(options: RollbackOptions) {
    this.options = options
    this.reader = options.target.reader()
  }

  /** @throws MigrateError FM_ROLLBACK_BLIND when nobody can tell whose the keys are */
  async run(): Promise<RollbackReport> {
    const { options } = this
    if (options.source === null && !options.force)
      throw new MigrateError(
        'FM_ROLLBACK_BLIND',
        'the source cannot be asked key by key, so nobody can tell which keys others have written since',
        'Make a server that is away reachable; what came from a file is taken back with --force, also what others have written since.',
      )
    try {
      let done = 0
      const total = options.onProgress === undefined ? null : await this.total()
      for await (const page of this.pages()) {
        if (options.signal.aborted) break
        await this.undo(page)
        done += page.length
        options.onProgress?.(done, total)
      }
      return {
        dryRun: options.dryRun,
        ...this.counts,
        keptExamples: this.examples,
        interrupted: options.signal.aborted,
      }
    } finally {
      this.names?.close()
      await this.reader.close()
    }
  }

  private async total(): Promise<number | null> {
    const { journal } = this.options
    if (journal !== null) return journal.count()
    let total = 0
    for (const size of (await this.reader.size()).values()) total += size
    return total
  }

  private async *pages(): AsyncGenerator<readonly Undo[]> {
    const { journal, keys: wanted, target } = this.options
    if (journal !== null) {
      yield* journal.pages()
      return
    }
    const keys = target.reader()
    try {
      for await (const page of keys.keys()) {
        const own = page.filter(({ db, key }) => wanted.takesKey(db, key))
        for (let from = 0; from < own.length; from += PAGE)
          yield own.slice(from, from + PAGE).map(({ db, key }) => ({ db, key, before: null }))
      }
    } finally {
      await keys.close()
    }
  }

  private async undo(page: readonly Undo[]): Promise<void> {
    const { options } = this
    const { db } = page[0]
    const keys = page.map(({ key }) => key)
    const now = await this.reader.read(db, keys, true)
    const source = options.source === null ? null : await this.readSource(options.source, page)
    const deletes: DirtyKey[] = []
    const records: SnapshotRecord[] = []
    const settled: DirtyKey[] = []
    for (const [i, entry] of page.entries()) {
      const there = now[i]
      if (this.sameRecord(there, entry.before)) {
        this.counts.unchanged++
        settled.push(entry)
      } else if (!options.force && !this.isOurs(there, source?.[i] ?? null)) {
        this.counts.kept++
        if (this.examples.length < EXAMPLES) this.examples.push(printableKey(entry.key))
      } else {
        if (entry.before === null) deletes.push(entry)
        else records.push(entry.before)
        settled.push(entry)
      }
    }
    if (options.dryRun) {
      this.counts.removed += deletes.length
      this.counts.restored += records.length
      return
    }
    let result: WriteResult | null = null
    // The process may have stood still since it read.
    options.admit?.()
    if (deletes.length + records.length > 0)
      result = await options.target.write({ kind: 'snapshot', lane: LANE, records, deletes, onConflict: 'replace' })
    const failed = result?.failed.length ?? 0
    this.counts.removed += deletes.length
    this.counts.restored += records.length - failed
    this.counts.failed += failed
    if (failed === 0) await options.journal?.drop(settled)
  }

  /** What the source has under the names that these keys have there, as the target would get it. */
  private async readSource(reader: KeyReader, page: readonly Undo[]): Promise<(SnapshotRecord | null)[]> {
    const { transform } = this.options
    let records: (SnapshotRecord | null)[]
    if (!transform.renames)
      records = [
        ...(await reader.read(
          page[0].db,
          page.map(({ key }) => key),
          true,
        )),
      ]
    else {
      this.names ??= await SourceNames.of(reader, transform)
      records = []
      for (const { db, key } of page) {
        let record: SnapshotRecord | null = null
        for (const original of this.names.originals(db, key))
          record ??= (await reader.read(original.db, [original.key], true))[0]
        records.push(record)
      }
    }
    return transform.values(records)
  }

  /**
   * A key is the migration's own while it is what the source has. Until the target was handed over nobody but the
   * migration had a reason to write a key of the source's; afterwards a difference is somebody's work.
   */
  private isOurs(there: SnapshotRecord | null, source: SnapshotRecord | null): boolean {
    if (there === null) return true
    if (source === null) return false
    return !this.options.completed || this.sameContent(there, source)
  }

  private sameContent(a: SnapshotRecord, b: SnapshotRecord): boolean {
    const fieldExpiry = this.options.target.dialect.holds?.fieldExpiry ?? true
    try {
      return sameValue(a.value, b.value, { fieldExpiry })
    } catch {
      return false
    }
  }

  private sameRecord(a: SnapshotRecord | null, b: SnapshotRecord | null): boolean {
    if (a === null || b === null) return a === b
    return (
      (a.expireAt === 0) === (b.expireAt === 0) && Math.abs(a.expireAt - b.expireAt) <= 1000 && this.sameContent(a, b)
    )
  }
}
