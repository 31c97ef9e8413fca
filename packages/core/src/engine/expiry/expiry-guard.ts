import type { Source, Target } from '@ferrite-migrate/contracts'
import {
  type ChangeRecord,
  type ChangesEvent,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type Position,
  type Shard,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, FingerprintSet, touchedKeys } from '@ferrite-migrate/protocol'
import { DirtySet } from '../../records/dirty-set.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { PendingKeys } from '../lanes/pending-keys.js'
import { covers } from '../lanes/position-queue.js'

/** Both ends, and which keys under which names. */
export interface ExpiryGuardNeeds {
  readonly source: Source
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
}

/** The stream being later than this, keys may have ended at the target whose renewal still waits in it. */
const LATE_MS = 45_000
/** The stream being no later than this, there is nothing to guard. */
const CLOSE_MS = 20_000
const LOOK_EVERY_MS = 5000
/** A key with less time left may end before its command arrives. */
const SOON_MS = 2000

/** More keys that must be read than this, or made by commands than that, and reading everything again is less work. */
const MOST_DIRTY = 4096
const MOST_MADE = 4_000_000
const MOST_UNSETTLED = 100_000

/** Commands that give their keys a new value whatever was there. */
const OVERWRITING = new Set(['DEL', 'UNLINK', 'MSET', 'SETEX', 'PSETEX', 'GETSET', 'RESTORE'])
/** A source passes these on only where the key is there. */
const RENEWING = new Set(['EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT', 'PERSIST'])
const RENEWING_FIELDS = /^H(P?EXPIRE(AT)?|PERSIST|GETEX|SETEX)$/

/**
 * Where changes are applied much later than they happened (after a stop, an outage, a long snapshot), a key may have ended
 * at the target that its source has renewed since. What then builds upon the key would make a new one of it. So until the
 * stream is close again, each key that a command builds upon is looked for at the target. One that is not there may be new
 * at the source too, until a renewal comes: a key that ended here and not there has one in the stream, always. Such keys
 * are read from the source whole.
 */
export class ExpiryGuard {
  private readonly options: ExpiryGuardNeeds
  private readonly shard: Shard
  private readonly dirty: PendingKeys
  private guarding = false
  /** A place that the source had reached at a time. */
  private mark: { readonly position: Position; readonly at: number } | null = null
  private lookAt = 0
  /** When changes last were up to date, or came at all. */
  private cameAt = Date.now()
  private reader: KeyReader | null = null
  private sourceReader: KeyReader | null = null
  /** Keys found lately that end at no time. */
  private staying = new FingerprintSet()
  /** Keys that commands made while the guard stood. */
  private made = new FingerprintSet()
  /** Made keys that the source had no more: their deletion may come late. */
  private readonly unsettled = new DirtySet()

  constructor(options: ExpiryGuardNeeds, shard: Shard, dirty: PendingKeys) {
    this.options = options
    this.shard = shard
    this.dirty = dirty
  }

  /** Nothing was applied for a while. */
  begin(): void {
    this.guarding = true
    this.mark = null
    this.lookAt = 0
    this.made = new FingerprintSet()
  }

  /** All that the target holds was just written, and what ends soon is held. */
  fresh(): void {
    this.guarding = false
    this.mark = null
    this.cameAt = Date.now()
    this.made = new FingerprintSet()
  }

  /** The guard ends, or the stream does: what is still unsettled is read. */
  settle(): void {
    for (const { db, key } of this.unsettled) this.dirty.again(db, key)
    this.unsettled.clear()
  }

  async close(): Promise<void> {
    const readers = [this.reader, this.sourceReader]
    this.reader = null
    this.sourceReader = null
    for (const reader of readers) await reader?.close()
  }

  /**
   * Marks keys as pending that the target may have lost. Is called before an event is replayed. False = they are so many
   * that everything must be read again.
   * @throws MigrateError FM_TARGET_LOST
   */
  async look(event: ChangesEvent): Promise<boolean> {
    if (this.shard.readAt === undefined) return true
    const now = Date.now()
    if (now - this.cameAt > LATE_MS) this.begin()
    this.cameAt = now
    if (now >= this.lookAt) await this.measure(event.position)
    if (!this.guarding) return true
    try {
      await this.judge(event.records)
    } catch (error) {
      await this.close()
      if (!(error instanceof MigrateError) || !error.retryable) throw error
      // Whichever end was lost: going on from the checkpoint waits for both.
      throw new MigrateError('FM_TARGET_LOST', error.message, error.hint, { retryable: true, cause: error })
    }
    return this.dirty.size <= MOST_DIRTY && this.made.size <= MOST_MADE && this.unsettled.size <= MOST_UNSETTLED
  }

  /** Finds out how late the stream is. */
  private async measure(position: Position): Promise<void> {
    const { mark } = this
    const now = Date.now()
    this.lookAt = now + LOOK_EVERY_MS
    this.staying = new FingerprintSet()
    if (mark !== null && !covers(this.shard, position, mark.position)) {
      if (now - mark.at > LATE_MS && !this.guarding) this.begin()
      return
    }
    if (mark !== null && this.guarding && now - mark.at < CLOSE_MS) {
      this.guarding = false
      this.made = new FingerprintSet()
      this.settle()
      await this.close()
    }
    try {
      this.mark = { position: (await this.shard.readAt!([])).position, at: now }
    } catch (error) {
      // A source that is away for a moment is asked again; until then nothing changes.
      if (!(error instanceof MigrateError) || !error.retryable) throw error
    }
  }

  private async judge(records: readonly ChangeRecord[]): Promise<void> {
    const commands = records.flatMap((record) => this.commandOf(record) ?? [])
    const missing = await this.missing(commands)
    for (const { name, keys } of commands) {
      if (name === 'DEL' || name === 'UNLINK') for (const { db, key } of keys) this.unsettled.delete(db, key)
      const absent = keys.filter(({ db, key }) => missing.has(db, key))
      const made = keys.some(({ db, key }) => this.made.has(db, key))
      const renews = RENEWING.has(name) && (made || absent.length > 0)
      if (renews || RENEWING_FIELDS.test(name) || (keys.length > 1 && absent.length > 0))
        for (const { db, key } of keys) this.dirty.add(db, key)
      else if (made || absent.length > 0) for (const { db, key } of keys) this.made.add(db, key)
    }
  }

  /** Which of the keys that commands build upon are not at the target, or are about to end there. */
  private async missing(commands: readonly Command[]): Promise<FingerprintSet> {
    const { transform, target } = this.options
    const seen = new FingerprintSet()
    const keys: DirtyKey[] = []
    for (const { whole, keys: touched } of commands)
      for (const { db, key } of touched) {
        if (seen.has(db, key) || this.staying.has(db, key) || this.made.has(db, key)) continue
        seen.add(db, key)
        if (!whole) keys.push({ db, key })
      }
    const missing = new FingerprintSet()
    if (keys.length === 0) return missing
    this.reader ??= target.reader()
    const names = await transform.names(keys)
    const byDb = new Map<number, number[]>()
    for (const [i, name] of names.entries()) if (name !== null) byDb.get(name.db)?.push(i) ?? byDb.set(name.db, [i])
    for (const [db, indexes] of byDb) {
      const ends = await this.reader.expiries(
        db,
        indexes.map((i) => names[i]!.key),
      )
      const soon = Date.now() + SOON_MS
      const absent: DirtyKey[] = []
      for (const [j, i] of indexes.entries()) {
        const { db: at, key } = keys[i]
        if (ends[j] === 0) this.staying.add(at, key)
        else if (ends[j] < soon) {
          missing.add(at, key)
          absent.push(keys[i])
        }
      }
      await this.findUnsettled(absent)
    }
    return missing
  }

  /** What has ended at the source too is deleted there when it gets round to it. */
  private async findUnsettled(keys: readonly DirtyKey[]): Promise<void> {
    const reader = (this.sourceReader ??= this.options.source.reader?.() ?? null)
    if (reader === null) return
    const soon = Date.now() + SOON_MS
    for (const db of new Set(keys.map((key) => key.db))) {
      const here = keys.filter((key) => key.db === db)
      const ends = await reader.expiries(
        db,
        here.map(({ key }) => key),
      )
      for (const [i, { key }] of here.entries()) if (ends[i] !== 0 && ends[i] < soon) this.unsettled.add(db, key)
    }
  }

  /** A command and those of its keys that are not read anyway. */
  private commandOf(record: ChangeRecord): Command | null {
    const { filter } = this.options
    const spec = commandSpecOf(record.name)
    if (spec.kind !== 'write') return null
    const { name, argv, db } = record
    const keys = touchedKeys(spec, argv, db).filter(
      (one) => filter.takesKey(one.db, one.key) && !this.dirty.has(one.db, one.key),
    )
    return { name, whole: overwrites(name, argv), keys }
  }
}

interface Command {
  readonly name: string
  /** It needs nothing of what was there. */
  readonly whole: boolean
  readonly keys: readonly DirtyKey[]
}

function overwrites(name: string, argv: readonly Buffer[]): boolean {
  if (name !== 'SET') return OVERWRITING.has(name)
  return !argv.slice(3).some((word) => /^(keepttl|nx|xx|get)$/i.test(word.toString('latin1')))
}
