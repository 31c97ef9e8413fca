import { type ChangeRecord, type DirtyKey, PackedChange } from '@ferrite-migrate/contracts'
import {
  absoluteExpiry,
  type CommandSpec,
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
import { type Routed, RoutedChanges } from './routed-changes.js'

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
  private isPlain(record: ChangeRecord, route: Route): boolean {
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
    const held = conditional ? words : [...words, ...argv.slice(found.at + 1)]
    return commandRecord(record.db, held, record.receivedAt, record.at)
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
    if (free && this.held.size === 0 && records.every((record) => this.isPlain(record, this.routeOf(record.name))))
      return { forward: records, dirty: [], flush: null, swapped: null, ignored: [], unknown: [], filtered: 0 }
    const routed = new RoutedChanges()
    for (const record of records) {
      const route = this.routeOf(record.name)
      if (route === 'drop') continue
      if (free && this.pending.size === 0 && this.passes(record, route)) routed.forward.push(record)
      else this.inspect(record, routed)
    }
    return routed
  }

  /** With no key to be read: a record that goes on in the bytes in which it came, perhaps with a later end in them. */
  private passes(record: ChangeRecord, route: Route): boolean {
    if (this.isPlain(record, route)) {
      if (this.held.size > 0) this.follow(record)
      return true
    }
    if (route !== 'expiry' || this.options.relativeExpiry) return false
    return record instanceof PackedChange && this.holdInPlace(record)
  }

  private inspect(record: ChangeRecord, routed: RoutedChanges): void {
    const spec = commandSpecOf(record.name)
    switch (spec.kind) {
      case 'write':
        this.routeWrite(record, spec, routed)
        break
      case 'flush':
        this.routeFlush(record, routed)
        break
      case 'swapdb':
        this.routeSwap(record, routed)
        break
      case 'publish':
        this.routePublish(record, routed)
        break
      case 'unknown':
        routed.unknown.push(record)
        break
      default:
        if (this.replaysKeyless(record, spec)) routed.forward.push(record)
        else routed.ignored.push(record.name)
    }
  }

  private routeWrite(record: ChangeRecord, spec: CommandSpec, routed: RoutedChanges): void {
    const { apply, filter, knows } = this.options
    const argv = record.argv
    const touched = touchedKeys(spec, argv, record.db)
    const taken = filter.open ? touched : touched.filter(({ db, key }) => filter.takesKey(db, key))
    if (taken.length === 0) {
      routed.filtered++
      return
    }
    const replays =
      apply === 'replay' &&
      this.carries(record.name) &&
      knows(record.name) &&
      !taken.some(({ db, key }) => this.pending.has(db, key))
    const commands = replays ? this.cutDown(record, spec, argv, taken, touched.length) : null
    if (commands !== null) routed.forward.push(...commands)
    else for (const { db, key } of taken) this.mark(routed.dirty, db, key)
  }

  /** The command with only those of its keys that the filter takes; null = they must be read. */
  private cutDown(
    record: ChangeRecord,
    spec: CommandSpec,
    argv: readonly Buffer[],
    taken: readonly DirtyKey[],
    touched: number,
  ): readonly ChangeRecord[] | null {
    if (taken.length === touched) return this.whole(record, argv)
    const { db, name, receivedAt, at: place } = record
    if (name === 'DEL' || name === 'UNLINK')
      return [commandRecord(db, [argv[0], ...taken.map(({ key }) => key)], receivedAt, place)]
    if (name !== 'MSET') return null
    const { filter } = this.options
    const positions = keyPositions(spec, argv).filter((at) => filter.takesKey(db, argv[at]))
    return [commandRecord(db, [argv[0], ...positions.flatMap((at) => [argv[at], argv[at + 1]])], receivedAt, place)]
  }

  /** A command with all its keys, its expiry counted from nowhere and later where it is near; null = they must be read. */
  private whole(record: ChangeRecord, argv: readonly Buffer[]): readonly ChangeRecord[] | null {
    if (this.held.size > 0) this.follow(record)
    const { db, name, receivedAt } = record
    const rewritten = this.options.relativeExpiry ? absoluteExpiry(name, argv, receivedAt) : null
    if (rewritten === null) {
      const later = this.hold(record, argv)
      return later === null ? null : [later]
    }
    const commands: ChangeRecord[] = []
    for (const words of rewritten) {
      const later = this.hold(commandRecord(db, words, receivedAt, record.at), words)
      if (later === null) return null
      commands.push(later)
    }
    return commands
  }

  private routeFlush(record: ChangeRecord, routed: RoutedChanges): void {
    const { apply, filter, renames, flushesAll } = this.options
    const all = record.name === 'FLUSHALL'
    if (!all && !filter.takesDb(record.db)) routed.filtered++
    else if (apply === 'replay' && filter.open && !renames && flushesAll) routed.forward.push(record)
    else routed.empty(all ? [] : [record.db], record.at)
  }

  private routeSwap(record: ChangeRecord, routed: RoutedChanges): void {
    const { apply, filter, renames } = this.options
    const [a, b] = [1, 2].map((i) => databaseNumber(record.argv[i], 'SWAPDB'))
    if (apply === 'replay' && filter.open && !renames) routed.forward.push(record)
    else if (filter.takesDb(a) || filter.takesDb(b)) routed.swapped = [a, b]
  }

  /** Sentinels announce themselves over the stream; forwarded, they would adopt the target. */
  private routePublish(record: ChangeRecord, routed: RoutedChanges): void {
    const channel = record.argv[1]?.toString('latin1') ?? ''
    if (this.options.apply === 'replay' && !channel.startsWith('__sentinel__') && this.options.knows(record.name))
      routed.forward.push(record)
  }

  /** What the target takes although it has no key; its own configuration and users are its own. */
  private replaysKeyless({ name }: ChangeRecord, { kind }: CommandSpec): boolean {
    const { apply, knows } = this.options
    return apply === 'replay' && kind === 'keyless' && name !== 'CONFIG' && name !== 'ACL' && knows(name)
  }
}
