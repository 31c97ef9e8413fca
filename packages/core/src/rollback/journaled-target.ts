import type {
  ChangeBatch,
  Checkpoint,
  DirtyKey,
  KeyReader,
  SnapshotBatch,
  Target,
  WriteResult,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, databaseNumber, touchedKeys } from '@ferrite-migrate/protocol'
import { DirtySet } from '../records/dirty-set.js'
import type { TargetKeys } from '../transform/target-keys.js'
import type { Undo } from './undo-journal.js'

/** As many as a batch holds, since each time that the journal goes to disk costs. */
const READ_AT_ONCE = 1000
const HELD_BYTES = 32 << 20

/** Where it is kept what keys were. */
export interface UndoKeeper {
  /** What this key was is kept already. */
  has(db: number, key: Buffer): boolean
  /** Keeps what these keys were; kept when it returns or resolves. @throws MigrateError FM_UNDO_FULL */
  keep(entries: readonly Undo[]): void | Promise<void>
}

/** Keeps what a target had before each write that changes it for the first time. */
export class TargetRecorder {
  private readonly target: Target
  private readonly journal: UndoKeeper
  private readonly filter: TargetKeys
  private reader: KeyReader | null = null
  private readonly turns = new Map<number, Promise<unknown>>()

  constructor(target: Target, journal: UndoKeeper, filter: TargetKeys) {
    this.target = target
    this.journal = journal
    this.filter = filter
  }

  /** Writes after the journal has the keys; batches of one lane stay in order. */
  write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    const kept = (this.turns.get(batch.lane) ?? Promise.resolve()).then(() => this.keep(batch))
    // The next batch waits until this one is handed over, not until it is answered.
    this.turns.set(
      batch.lane,
      kept.catch(() => undefined),
    )
    return kept.then(() => this.target.write(batch, checkpoint))
  }

  async close(): Promise<void> {
    await this.reader?.close()
  }

  private async keep(batch: SnapshotBatch | ChangeBatch): Promise<void> {
    const unknown = new DirtySet()
    const note = (db: number, key: Buffer): void => {
      if (!this.journal.has(db, key)) unknown.add(db, key)
    }
    if (batch.kind === 'snapshot') {
      for (const { db, key } of batch.deletes ?? []) note(db, key)
      for (const { db, key } of batch.records) note(db, key)
    } else
      for (const record of batch.records) {
        const spec = commandSpecOf(record.name)
        if (spec.kind === 'write') for (const { db, key } of touchedKeys(spec, record.argv, record.db)) note(db, key)
        else if (spec.kind === 'flush') await this.keepAll(record.name === 'FLUSHALL' ? undefined : [record.db])
        else if (spec.kind === 'swapdb')
          await this.keepAll(
            [1, 2].map((i) => databaseNumber(record.argv[i], 'SWAPDB')),
            true,
          )
      }
    while (unknown.size > 0) await this.keepKeys(unknown.take(READ_AT_ONCE))
  }

  /** Every key of these databases; after SWAPDB each name may be another's in either of them. */
  private async keepAll(dbs: readonly number[] | undefined, swapped = false): Promise<void> {
    const reader = this.target.reader()
    try {
      for await (const page of reader.keys(dbs === undefined ? {} : { dbs })) {
        const named = swapped && dbs !== undefined ? dbs.flatMap((db) => page.map(({ key }) => ({ db, key }))) : page
        const wanted = new DirtySet()
        for (const { db, key } of named)
          if (this.filter.takesKey(db, key) && !this.journal.has(db, key)) wanted.add(db, key)
        while (wanted.size > 0) await this.keepKeys(wanted.take(READ_AT_ONCE))
      }
    } finally {
      await reader.close()
    }
  }

  private async keepKeys(keys: readonly DirtyKey[]): Promise<void> {
    this.reader ??= this.target.reader()
    const { db } = keys[0]
    const names = keys.map(({ key }) => key)
    // What was there may be large: only so much of it is held at once.
    for (const group of (await this.reader.byBytes?.(db, names, HELD_BYTES)) ?? [names]) {
      const there = await this.reader.read(db, group, true)
      await this.journal.keep(group.map((key, i): Undo => ({ db, key, before: there[i] })))
    }
  }
}

/** A target whose writes go through a recorder; everything else is the target's own. */
export function journaled(target: Target, recorder: TargetRecorder): Target {
  return new Proxy(target, {
    get(inner, name) {
      if (name === 'write') return recorder.write.bind(recorder)
      const value: unknown = Reflect.get(inner, name, inner)
      return typeof value === 'function' ? value.bind(inner) : value
    },
  })
}
