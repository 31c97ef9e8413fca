import { setTimeout as sleep } from 'node:timers/promises'
import type { Source } from '@ferrite-migrate/contracts'
import {
  type ChangeRecord,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../../config/config.js'
import type { DirtySet } from '../../records/dirty-set.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { CollisionGuard } from '../../transform/collision-guard.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import { type RenamedCommands, renameCommands } from '../../transform/renamed-commands.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { Progress } from '../progress/progress.js'
import type { ForeignKeys } from '../target-content/foreign-keys.js'

/** The source, and how its keys are written. */
export interface KeyValuesNeeds {
  readonly config: Pick<ResolvedConfig, 'syncTimeoutMs'>
  readonly source: Source
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly foreign: ForeignKeys | null
  readonly progress: Progress
  readonly signal: AbortSignal
}

const RETRY_MS = 1000
/** Keys that are read together. */
export const READ_AT_ONCE = 1000

/** Single keys on their way: read from the source, written whole and under their names at the target. */
export class KeyValues {
  private readonly options: KeyValuesNeeds
  private readonly lanes: ShardLanes
  private readonly lane: number
  private readonly collisions: CollisionGuard | null
  private readonly onWrite: (keys: readonly DirtyKey[]) => void
  private reader: KeyReader | null = null

  /** @param onWrite is told keys, by their names at the target, before they are written */
  constructor(
    options: KeyValuesNeeds,
    lanes: ShardLanes,
    lane: number,
    collisions: CollisionGuard | null,
    onWrite: (keys: readonly DirtyKey[]) => void = () => undefined,
  ) {
    this.onWrite = onWrite
    this.options = options
    this.lanes = lanes
    this.lane = lane
    this.collisions = collisions
  }

  /** @throws MigrateError FM_CONTRACT when the source has no single keys to read */
  source(): KeyReader {
    this.reader ??= this.options.source.reader?.() ?? null
    if (this.reader === null)
      throw new MigrateError('FM_CONTRACT', 'the source cannot read single keys', 'Use --apply replay.')
    return this.reader
  }

  async close(): Promise<void> {
    await this.reader?.close()
  }

  /** The values of keys of any databases, each one whole. */
  async read(keys: readonly DirtyKey[]): Promise<readonly (SnapshotRecord | null)[]> {
    const records: (SnapshotRecord | null)[] = []
    for (const { db, key } of keys) records.push(...(await this.source().read(db, [key], true)))
    return records
  }

  /** Writes what keys hold; null = the key is deleted. */
  async write(keys: readonly DirtyKey[], values: readonly (SnapshotRecord | null)[]): Promise<void> {
    const { filter, transform } = this.options
    const taken = values.map((record) => (record !== null && filter.takes(record) ? record : null))
    const names = await transform.names(keys)
    await this.lookForCollisions(
      keys,
      names.map((name, i) => (taken[i] === null ? null : name)),
    )
    const valued = await transform.values(taken)
    const records: SnapshotRecord[] = []
    const deletes: DirtyKey[] = []
    const { foreign, progress } = this.options
    for (const [i, record] of valued.entries()) {
      const name = names[i]
      if (name === null) continue
      if (foreign !== null && foreign.spare([name]).length === 0) {
        progress.skipped++
        continue
      }
      if (record === null) {
        deletes.push(name)
        continue
      }
      const made = transform.renames ? { ...record, db: name.db, key: name.key, value: record.value } : record
      if (made.value.form === 'sliced') {
        this.onWrite([made])
        // Its slices share the reader's connection: one at a time.
        await this.lanes.write({ kind: 'snapshot', lane: this.lane, records: [made], onConflict: 'replace' })
        await this.lanes.drain()
      } else records.push(made)
    }
    foreign?.claim(records)
    this.onWrite(records)
    await this.lanes.write({ kind: 'snapshot', lane: this.lane, records, deletes, onConflict: 'replace' })
  }

  /** Commands under their names at the target. */
  async named(records: readonly ChangeRecord[]): Promise<RenamedCommands> {
    const { transform } = this.options
    if (!transform.renames)
      return { records, dirty: [], written: { keys: [], names: [] }, original: (db, key) => ({ db, key }) }
    const renamed = await renameCommands(records, transform)
    await this.lookForCollisions(renamed.written.keys, renamed.written.names)
    return renamed
  }

  /** Does what needs the source again and again, for as long as it may be away. */
  async persisting(task: () => Promise<void>): Promise<void> {
    const deadline = Date.now() + this.options.config.syncTimeoutMs
    for (;;)
      try {
        return await task()
      } catch (error) {
        if (
          !(error instanceof MigrateError) ||
          !error.retryable ||
          error.code === 'FM_TARGET_LOST' ||
          Date.now() > deadline ||
          this.options.signal.aborted
        )
          throw error
        await sleep(RETRY_MS)
      }
  }

  /** Reads every one of these keys and writes it whole; where the source is lost it is tried again, and the keys stay. */
  async rewrite(dirty: DirtySet): Promise<void> {
    while (dirty.size > 0)
      await this.persisting(async () => {
        const keys = dirty.take(READ_AT_ONCE)
        try {
          const [{ db }] = keys
          const names = keys.map(({ key }) => key)
          await this.write(keys, await this.source().read(db, names, this.options.filter.needsSize))
        } catch (error) {
          dirty.addAll(keys)
          throw error
        }
      })
  }

  private async lookForCollisions(keys: readonly DirtyKey[], names: readonly (DirtyKey | null)[]): Promise<void> {
    await this.collisions?.addLive(keys, names)
  }
}
