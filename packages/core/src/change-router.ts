import type { ChangeRecord, DirtyKey } from '@ferrite-migrate/contracts'
import { absoluteExpiry, commandSpecOf, keyPositions, RespWriter, touchedKeys } from '@ferrite-migrate/protocol'
import type { DirtySet } from './dirty-set.js'
import type { RecordFilter } from './key-filter.js'

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
}

export interface RouterOptions {
  readonly apply: 'replay' | 'state'
  readonly filter: RecordFilter
  knows(name: string): boolean
  /** Expiries in the stream count from when they ran. */
  readonly relativeExpiry: boolean
}

/** What to do with every command of one name, found once. */
type Route = 'forward' | 'inspect' | 'drop'

/** Scripts may touch keys that they do not name as keys; only reading those named again is certain. */
const OPAQUE = new Set(['EVAL', 'EVALSHA', 'FCALL'])

/** A command as a record of its own. */
export function commandRecord(db: number, argv: readonly Buffer[], receivedAt: number): ChangeRecord {
  const out = new RespWriter(64)
  out.call(...argv)
  return { db, name: argv[0].toString('latin1').toUpperCase(), argv, resp: out.take(), receivedAt }
}

/** Decides for each change whether its command is replayed, its keys are read again, or it is dropped. */
export class ChangeRouter {
  private readonly options: RouterOptions
  private readonly routes = new Map<string, Route>()
  private readonly pending: DirtySet

  /** `pending` holds the keys whose commands must not be replayed until their value has been read. */
  constructor(options: RouterOptions, pending: DirtySet) {
    this.options = options
    this.pending = pending
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
    if (apply === 'state' || !filter.open || spec.kind !== 'write' || OPAQUE.has(name) || !knows(name)) return 'inspect'
    return relativeExpiry && spec.relativeExpiry ? 'inspect' : 'forward'
  }

  route(records: readonly ChangeRecord[]): Routed {
    const free = this.pending.size === 0
    if (free && records.every((record) => this.routeOf(record.name) === 'forward'))
      return { forward: records, dirty: [], flush: null, swapped: null, ignored: [] }

    const forward: ChangeRecord[] = []
    const dirty: DirtyKey[] = []
    const ignored: string[] = []
    let flush: number[] | null = null
    let swapped: [number, number] | null = null
    const { apply, filter } = this.options
    for (const record of records) {
      const route = this.routeOf(record.name)
      if (route === 'drop') continue
      const spec = commandSpecOf(record.name)
      if (spec.kind === 'write') {
        const argv = record.argv
        const touched = touchedKeys(spec, argv, record.db)
        const taken = filter.open ? touched : touched.filter(({ db, key }) => filter.takesKey(db, key))
        if (taken.length === 0) continue
        const replay =
          apply === 'replay' &&
          !OPAQUE.has(record.name) &&
          this.options.knows(record.name) &&
          !taken.some(({ db, key }) => this.pending.has(db, key))
        if (replay && taken.length === touched.length) {
          const rewritten = this.options.relativeExpiry ? absoluteExpiry(record.name, argv, record.receivedAt) : null
          if (rewritten === null) forward.push(record)
          else for (const command of rewritten) forward.push(commandRecord(record.db, command, record.receivedAt))
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
        } else
          for (const { db, key } of taken) {
            dirty.push({ db, key })
            if (apply === 'replay') this.pending.add(db, key)
          }
      } else if (spec.kind === 'flush') {
        const dbs = record.name === 'FLUSHALL' ? [] : [record.db]
        if (dbs.length > 0 && !filter.takesDb(dbs[0])) continue
        if (apply === 'replay' && filter.open) {
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
        const [, a, b] = record.argv.map((argument) => Number(argument.toString('latin1')))
        if (apply === 'replay' && filter.open) forward.push(record)
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
      else ignored.push(record.name)
    }
    return { forward, dirty, flush, swapped, ignored }
  }
}
