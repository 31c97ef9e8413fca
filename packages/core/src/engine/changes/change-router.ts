import { type ChangeRecord, type DirtyKey, PackedChange } from '@ferrite-migrate/contracts'
import {
  absoluteExpiry,
  commandRecord,
  commandSpecOf,
  databaseNumber,
  expiryArgument,
  keyPositions,
  PackedExpiry,
  touchedKeys,
} from '@ferrite-migrate/protocol'
import type { DirtySet } from '../../records/dirty-set.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { LaterEnds } from '../expiry/later-end.js'

export interface Routed {
  /** To be replayed, in order. */
  readonly forward: readonly ChangeRecord[]
  /** To be read again. */
  readonly dirty: readonly DirtyKey[]
  /** Databases to empty (under the filter) before anything of `forward`; null = none, [] = all. */
  readonly flush: readonly number[] | null
  /** Databases whose contents were exchanged in a way that cannot be replayed. */
  readonly swapped: readonly [number, number] | null
  /** Commands left out because nothing can carry them, by name. */
  readonly ignored: readonly string[]
  /** Commands that are not known here: what they write to has to be asked. */
  readonly unknown: readonly ChangeRecord[]
  /** Commands that touch nothing the filter takes. */
  readonly filtered: number
}

export interface RouterOptions {
  readonly apply: 'replay' | 'state'
  readonly filter: RecordFilter
  /** Keys have other names or databases at the target. */
  readonly renames: boolean
  knows(name: string): boolean
  /** Expiries in the stream count from when they ran. */
  readonly relativeExpiry: boolean
  /** False where the target has keys that a flush of the source must leave alone. */
  readonly flushesAll: boolean
}

/** What to do with every command of one name, found once. */
type Route = 'forward' | 'expiry' | 'inspect' | 'drop'

/** Commands that may carry an expiry. */
const EXPIRING = new Set(['SET', 'GETEX', 'RESTORE', 'EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT', 'SETEX', 'PSETEX'])

/** Scripts may touch keys that they do not name as keys; only reading those named again is certain. */
const OPAQUE = new Set(['EVAL', 'EVALSHA', 'FCALL'])

/** Commands that reach into another database, or name keys by patterns: under other names only their result can be carried. */
const UNNAMEABLE = new Set(['SORT', 'MOVE', 'COPY'])

/** `*3\r`: SET with nothing but key and value. */
function isThreeArguments({ data, start }: PackedChange): boolean {
  return data[start + 1] === 51 && data[start + 2] === 13
}

/** Decides for each change whether its command is replayed, its keys are read again, or it is dropped. */
export class ChangeRouter {
  private readonly options: RouterOptions
  private readonly routes = new Map<string, Route>()
  private readonly packed = new PackedExpiry()
  private readonly pending: DirtySet
  private readonly held: DirtySet
  private readonly ends: LaterEnds

  /** `pending` holds the keys whose commands must not be replayed until their value has been read; `held` gets
   * those whose expiry at the target is later than at the source. */
  constructor(options: RouterOptions, ends: LaterEnds, pending: DirtySet, held: DirtySet) {
    this.ends = ends
    this.options = options
    this.pending = pending
    this.held = held
  }

  private routeOf(name: string): Route {
    let route = this.routes.get(name)
    if (route === undefined) {
      route = this.decide(name)
      this.routes.set(name, route)
    }
    return route
  }

  private decide(name: string): Route {
    const spec = commandSpecOf(name)
    const { apply, filter, knows, relativeExpiry } = this.options
    if (spec.kind === 'link' || spec.kind === 'select' || spec.kind === 'multi' || spec.kind === 'exec') return 'drop'
    if (apply === 'state' || !filter.open || spec.kind !== 'write' || !this.carries(name) || !knows(name))
      return 'inspect'
    return EXPIRING.has(name) ? 'expiry' : relativeExpiry && spec.relativeExpiry ? 'inspect' : 'forward'
  }

  /** False for commands whose effect is only known by reading their keys again. */
  private carries(name: string): boolean {
    return !OPAQUE.has(name) && !(this.options.renames && UNNAMEABLE.has(name))
  }

  /** A record that goes to the target as it is, without a look at its arguments. */
  private plain(record: ChangeRecord): boolean {
    const route = this.routeOf(record.name)
    return (
      route === 'forward' ||
      (route === 'expiry' && record.name === 'SET' && record instanceof PackedChange && isThreeArguments(record))
    )
  }

  /**
   * Under replay: a source tells when a key expired, a target must not decide it before. Keys with little time left get
   * more, and their own when the migration settles. NX, XX, GT and LT are taken off: that the source passed the command on
   * says that they held there, and at the target they would be held against another expiry. Null = the key must be read.
   */
  private hold(record: ChangeRecord, argv: readonly Buffer[]): ChangeRecord | null {
    const found = expiryArgument(record.name, argv)
    if (found === null) return record
    const conditional = /^P?EXPIREAT$/.test(record.name) && argv.length > 3
    const deadline = Number(argv[found.at].toString('latin1')) * found.unit
    const end = this.ends.endOf(deadline, this.held.size)
    if (end === null) return null
    if (end !== deadline) this.noteHeld(record.db, argv[1])
    else if (!conditional) return record
    const words = [...argv.slice(0, found.at), Buffer.from(String(Math.round(end / found.unit)))]
    return commandRecord(record.db, conditional ? words : [...words, ...argv.slice(found.at + 1)], record.receivedAt)
  }

  /** The same in the bytes that the command came in, where that can be; false = nothing was done. */
  private holdInPlace(record: PackedChange): boolean {
    const { packed } = this
    if (!packed.find(record)) return false
    const deadline = packed.value * packed.unit
    const end = this.ends.endOf(deadline, this.held.size)
    if (end === deadline) return true
    if (end === null || !packed.write(record, Math.round(end / packed.unit))) return false
    this.noteHeld(record.db, record.data.subarray(packed.keyStart, packed.keyEnd))
    return true
  }

  private noteHeld(db: number, key: Buffer): void {
    if (this.ends.how === 'hold') this.held.add(db, key)
  }

  /** A held expiry goes where RENAME, COPY and their like take it, and ends with DEL. */
  private follow(record: ChangeRecord): void {
    const spec = commandSpecOf(record.name)
    if (spec.kind !== 'write' || (spec.find === undefined && spec.first === spec.last && record.name !== 'MOVE')) return
    const touched = touchedKeys(spec, record.argv, record.db)
    if (record.name === 'DEL' || record.name === 'UNLINK') for (const { db, key } of touched) this.held.delete(db, key)
    else if (touched.some(({ db, key }) => this.held.has(db, key)))
      for (const { db, key } of touched) this.held.add(db, key)
  }

  private mark(dirty: DirtyKey[], db: number, key: Buffer): void {
    dirty.push({ db, key })
    if (this.options.apply === 'replay') this.pending.add(db, key)
  }

  route(records: readonly ChangeRecord[]): Routed {
    const free = this.pending.size === 0
    if (free && this.held.size === 0 && records.every((record) => this.plain(record)))
      return { forward: records, dirty: [], flush: null, swapped: null, ignored: [], unknown: [], filtered: 0 }

    const forward: ChangeRecord[] = []
    const dirty: DirtyKey[] = []
    const ignored: string[] = []
    const unknown: ChangeRecord[] = []
    let flush: number[] | null = null
    let swapped: [number, number] | null = null
    let filtered = 0
    const { apply, filter } = this.options
    for (const record of records) {
      const route = this.routeOf(record.name)
      if (route === 'drop') continue
      if (free && this.pending.size === 0 && this.plain(record)) {
        if (this.held.size > 0) this.follow(record)
        forward.push(record)
        continue
      }
      if (
        free &&
        this.pending.size === 0 &&
        route === 'expiry' &&
        !this.options.relativeExpiry &&
        record instanceof PackedChange &&
        this.holdInPlace(record)
      ) {
        forward.push(record)
        continue
      }
      const spec = commandSpecOf(record.name)
      if (spec.kind === 'write') {
        const argv = record.argv
        const touched = touchedKeys(spec, argv, record.db)
        const taken = filter.open ? touched : touched.filter(({ db, key }) => filter.takesKey(db, key))
        if (taken.length === 0) {
          filtered++
          continue
        }
        const replay =
          apply === 'replay' &&
          this.carries(record.name) &&
          this.options.knows(record.name) &&
          !taken.some(({ db, key }) => this.pending.has(db, key))
        if (replay && taken.length === touched.length) {
          if (this.held.size > 0) this.follow(record)
          const rewritten = this.options.relativeExpiry ? absoluteExpiry(record.name, argv, record.receivedAt) : null
          const commands = rewritten?.map((command) => commandRecord(record.db, command, record.receivedAt)) ?? [record]
          const later = commands.map((command) => this.hold(command, command.argv))
          if (later.every((command) => command !== null)) forward.push(...later)
          else for (const { db, key } of taken) this.mark(dirty, db, key)
        } else if (replay && (record.name === 'DEL' || record.name === 'UNLINK'))
          forward.push(commandRecord(record.db, [argv[0], ...taken.map(({ key }) => key)], record.receivedAt))
        else if (replay && record.name === 'MSET') {
          const positions = keyPositions(spec, argv).filter((at) => filter.takesKey(record.db, argv[at]))
          forward.push(
            commandRecord(
              record.db,
              [argv[0], ...positions.flatMap((at) => [argv[at], argv[at + 1]])],
              record.receivedAt,
            ),
          )
        } else for (const { db, key } of taken) this.mark(dirty, db, key)
      } else if (spec.kind === 'flush') {
        const dbs = record.name === 'FLUSHALL' ? [] : [record.db]
        if (dbs.length > 0 && !filter.takesDb(dbs[0])) {
          filtered++
          continue
        }
        if (apply === 'replay' && filter.open && !this.options.renames && this.options.flushesAll) {
          forward.push(record)
          continue
        }
        const hit = (db: number): boolean => dbs.length === 0 || dbs.includes(db)
        // What this event wrote before the flush is flushed too; what the target holds, the engine deletes.
        for (const earlier of forward.splice(0)) {
          if (!hit(earlier.db)) forward.push(earlier)
          else
            for (const { db, key } of touchedKeys(commandSpecOf(earlier.name), earlier.argv, earlier.db))
              forward.push(commandRecord(db, [Buffer.from('DEL'), key], 0))
        }
        flush = flush === null ? dbs : dbs.length === 0 || flush.length === 0 ? [] : [...flush, ...dbs]
      } else if (spec.kind === 'swapdb') {
        const [a, b] = [1, 2].map((i) => databaseNumber(record.argv[i], 'SWAPDB'))
        if (apply === 'replay' && filter.open && !this.options.renames) forward.push(record)
        else if (filter.takesDb(a) || filter.takesDb(b)) swapped = [a, b]
      } else if (spec.kind === 'publish') {
        // Sentinels announce themselves over the stream; forwarded, they would adopt the target.
        const channel = record.argv[1]?.toString('latin1') ?? ''
        if (apply === 'replay' && !channel.startsWith('__sentinel__') && this.options.knows(record.name))
          forward.push(record)
      } else if (
        apply === 'replay' &&
        spec.kind === 'keyless' &&
        record.name !== 'CONFIG' &&
        record.name !== 'ACL' &&
        this.options.knows(record.name)
      )
        forward.push(record)
      else if (spec.kind === 'unknown') unknown.push(record)
      else ignored.push(record.name)
    }
    return { forward, dirty, flush, swapped, ignored, unknown, filtered }
  }
}
