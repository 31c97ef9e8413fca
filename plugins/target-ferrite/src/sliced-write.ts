import type { ConflictPolicy, SlicedValue, SnapshotRecord, ValueSlice } from '@ferrite-migrate/contracts'
import {
  type RespWriter,
  writeFieldExpiry,
  writeItems,
  writeStreamEntries,
  writeStreamState,
} from '@ferrite-migrate/protocol'
import type { Flight } from './lane-connection.js'
import type { LaneTools } from './lane-tools.js'
import { isRedirect, refusalError } from './target-error.js'
import { temporaryName } from './temporary-name.js'
import type { WriteTally } from './write-tally.js'

/** Slices under way: the server works on one while the next are read. */
const UNDER_WAY = 2

/** A value above the size limit: slice by slice under a temporary name, then renamed. */
export class SlicedWrite {
  private lane: LaneTools
  private readonly record: SnapshotRecord
  private readonly temporary: string
  private readonly name: Buffer
  private readonly tally: WriteTally
  private lastEntry: string | undefined
  private lostFieldExpiry = false
  /** What slices under way were refused with; null = they were taken. */
  private readonly underWay: Promise<string | null>[] = []

  constructor(lane: LaneTools, record: SnapshotRecord, tally: WriteTally) {
    this.lane = lane
    this.record = record
    this.temporary = temporaryName(lane.options.migration, lane.options.ofCluster === true ? record.key : undefined)
    this.name = Buffer.from(this.temporary)
    this.tally = tally
  }

  async write(value: SlicedValue, onConflict: ConflictPolicy): Promise<void> {
    const { record, tally } = this
    const now = Date.now() + this.lane.options.clockSkewMs
    for await (const slice of value.slices) await this.begin(() => this.slice(value.type, slice))
    while (this.underWay.length > 0) await this.first()
    if (this.lostFieldExpiry)
      tally.notCarried.push({ what: 'hash-field-ttl', db: record.db, key: Buffer.from(record.key) })
    if (record.expireAt > 0 && record.expireAt <= now) {
      await this.send(() => this.remove())
      tally.skipped++
    } else if (onConflict === 'replace') {
      await this.send(() => this.replace())
      tally.written++
    } else if (await this.renames()) tally.written++
    else if (onConflict === 'skip') tally.skipped++
    else tally.fail(record, 'the key is already there', 'conflict')
  }

  private get out(): RespWriter {
    return this.lane.connection.out
  }

  private async renames(): Promise<boolean> {
    const since = Date.now()
    for (;;) {
      const became = await this.lane.staged.renameUnlessThere(this.record, this.temporary)
      if (became === 'present' || became === 'renamed') return became === 'renamed'
      await this.follow(became.refused, since)
    }
  }

  /** The slot has gone to another node, and what there is of the value with it. */
  private async follow(text: string, since: number): Promise<void> {
    const { redirect, options } = this.lane
    if (redirect === undefined) throw refusalError(options.endpoint, text)
    this.lane = await redirect(this.record.key, text, since)
  }

  /** Sends what `build` appends, and waits only where enough is under way. @throws like `send` */
  private async begin(build: () => number): Promise<void> {
    // A slot may go between two slices: what follows must know where to.
    if (this.lane.options.ofCluster === true) return this.send(build)
    while (this.underWay.length >= UNDER_WAY) await this.first()
    const { made } = await this.fly(build)
    if (made === null) return
    const refusal = made.then(({ errors }) => errors[0]?.text ?? null)
    // Whoever waits for it gets to know; one that is not waited for came behind another that had failed.
    refusal.catch(() => undefined)
    this.underWay.push(refusal)
  }

  /** Waits for the slice that has been under way longest. */
  private async first(): Promise<void> {
    const text = (await this.underWay.shift()) ?? null
    if (text !== null) await this.refused(text)
  }

  /** Sends what `build` appends; null in `made` = there was nothing. Wrapped, so that it is not waited for. */
  private fly(build: () => number): Promise<{ readonly made: Promise<Flight> | null }> {
    const { connection } = this.lane
    return connection.inDatabase(this.record.db, (link) => {
      const replies = this.append(build)
      this.tally.byteLength += this.out.at
      return replies === 0 ? null : connection.fly(link, replies)
    })
  }

  /** Sends what `build` appends. @throws MigrateError when it is refused; nothing of the value stays then */
  private async send(build: () => number): Promise<void> {
    const since = Date.now()
    for (;;) {
      const { options, losses } = this.lane
      const { made } = await this.fly(build)
      const flight = await made?.catch((error: unknown) => {
        // Whatever is there of it now may be lost with the node.
        throw options.ofCluster === true ? losses.ofChanges(error) : error
      })
      const error = flight?.errors[0]
      if (error === undefined) return
      if (!(options.ofCluster === true && isRedirect(error.text))) return this.refused(error.text)
      await this.follow(error.text, since)
    }
  }

  /** All or nothing at a node of a cluster, whose slot may go between two commands. */
  private append(build: () => number): number {
    if (this.lane.options.ofCluster !== true) return build()
    const start = this.out.at
    this.out.call('MULTI')
    const replies = build()
    if (replies === 0) {
      this.out.at = start
      return 0
    }
    this.out.call('EXEC')
    return replies + 2
  }

  private async refused(text: string): Promise<never> {
    const { db } = this.record
    const { connection } = this.lane
    await connection
      .inDatabase(db, (link) => connection.fly(link, this.remove()))
      .then((cleaned) => cleaned.made)
      .catch(() => undefined)
    throw refusalError(this.lane.options.endpoint, text)
  }

  /** Appends the commands of one slice; gives their number. */
  private slice(type: SlicedValue['type'], slice: ValueSlice): number {
    const { out, name } = this
    const { able, limits } = this.lane.options
    if (slice.entries !== undefined) {
      this.lastEntry = slice.entries.at(-1)?.id ?? this.lastEntry
      return writeStreamEntries(out, name, slice.entries)
    }
    if (slice.stream !== undefined) return writeStreamState(out, name, slice.stream, this.lastEntry, able)
    if (type === 'stream' || slice.items.length === 0) return 0
    const items = {
      form: 'items',
      type,
      items: slice.items,
      ...(slice.fieldExpireAt ? { fieldExpireAt: slice.fieldExpireAt } : {}),
    } as const
    const replies = writeItems(out, name, items, limits.piece)
    if (!slice.fieldExpireAt?.some((at) => at > 0)) return replies
    if (able.fieldExpiry) return replies + writeFieldExpiry(out, name, items)
    this.lostFieldExpiry = true
    return replies
  }

  private remove(): number {
    this.out.call('DEL', this.name)
    return 1
  }

  private replace(): number {
    const { out, name, record } = this
    let replies = 1
    if (record.expireAt > 0) {
      out.call('PEXPIREAT', name, record.expireAt)
      replies++
    }
    out.call('RENAME', name, record.key)
    if (record.expireAt > 0 && !this.lane.options.able.atomicMulti) {
      out.call('PEXPIREAT', record.key, record.expireAt)
      replies++
    }
    return replies
  }
}
