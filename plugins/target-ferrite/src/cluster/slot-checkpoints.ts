import type { Checkpoint, DirtyKey } from '@ferrite-migrate/contracts'
import { ReplyError, SLOTS } from '@ferrite-migrate/protocol'
import { checkpointKey, slotTag } from '@ferrite-migrate/redis'
import { refusalError } from '../target-error.js'
import { RoutedCommands } from './routed-commands.js'
import { decodeMark, encodeMark, type FoundMark, type LowWater, lowWater, type SlotMark } from './slot-mark.js'
import type { TargetNodes } from './target-nodes.js'

/** How long after a batch its position is written as a mark, ms; those of the meantime share it. */
const MARK_MS = 250
/** Commands of one step over all slots. */
const AT_ONCE = 4096

/** What one shard's stream has done at the cluster up to a batch that was answered. */
type Reached = Pick<SlotMark, 'position' | 'dirty' | 'at'>

/**
 * How far one shard has come at a cluster, exactly.
 *
 * - Each slot has a checkpoint: the place in the stream (`ChangeRecord.at`) of the last change that was done to it, written in the
 *   transaction of that change. It moves, fails over and is lost with its slot, together with what it speaks of. Whoever goes on
 *   reads it, and leaves out what does not come after it.
 * - Each node has a mark: everything of the shard up to this position is done in all slots of the node, and these keys are dirty.
 *   It is written when every node has answered, so it stands in the node's stream behind all that it speaks of. A replica that
 *   takes over has a part of that stream from its beginning: where it has the mark, it has all of that, and where it has lost
 *   something, its mark is an older one. The lowest of the marks is where reading goes on.
 *
 * Going on from the lowest mark loses nothing, because all that any slot lacks comes after it. It does nothing twice, because a
 * change is left out when its slot's checkpoint, or the mark of its slot's node, covers it. What a value that was read ahead of the
 * stream already holds would be done twice: therefore a checkpoint without changes, which is how core says that it is about to
 * write such values, is written at once as a mark at all nodes, with these keys dirty. It stands in front of the values in the
 * stream of each node: whoever finds the value finds the mark, or a later one that covers the changes which the value holds. A slot
 * whose mark is higher than the lowest gets that as its checkpoint before anything goes on, since the next marks start lower.
 *
 * Commands that overwrite their only key, and are alone in their slot, bring no checkpoint: done once more, in order and with all
 * that follows them, they come to the same.
 */
export class SlotCheckpoints {
  readonly migration: string
  readonly shard: string
  private readonly nodes: TargetNodes
  private readonly patienceMs: number
  private readonly clientName: string | undefined
  private commands: RoutedCommands
  private stopping = new AbortController()
  private readonly done = new Float64Array(SLOTS).fill(-1)
  private readonly heads = new Array<Buffer | undefined>(SLOTS)
  private at = 0
  /** Slots in which keys of this shard may be; null = all, since nobody has looked. */
  private held: Set<number> | null = null
  private copy = Date.now()
  /** What the next mark says; null = the last one says it. */
  private next: Reached | null = null
  private last: Reached | null = null
  private timer: NodeJS.Timeout | null = null
  /** Marks are written one after the other. */
  private writing: Promise<void> = Promise.resolve()
  /** Keys of commands that failed, until core can have said so itself, and how many batches that may take. */
  private failed: readonly DirtyKey[] = []
  private failedFor = 0

  /** @param clientName of its connections, by which a later process ends them */
  constructor(
    migration: string,
    shard: string,
    nodes: TargetNodes,
    patienceMs: number,
    clientName: string | undefined,
  ) {
    this.migration = migration
    this.shard = shard
    this.nodes = nodes
    this.patienceMs = patienceMs
    this.clientName = clientName
    this.commands = new RoutedCommands(nodes, patienceMs, clientName, this.stopping.signal)
  }

  /** The last place of the stream that a slot has. */
  doneUpTo(slot: number): number {
    return this.done[slot]
  }

  /** A transaction has done this to a slot. */
  did(slot: number, at: number): void {
    this.done[slot] = at
  }

  /** Everything was emptied, checkpoints with it. */
  emptied(): void {
    this.done.fill(-1)
  }

  /** The start of the command that writes the checkpoint of a slot: its value follows. */
  head(slot: number): Buffer {
    let head = this.heads[slot]
    if (head === undefined) {
      this.held?.add(slot)
      const key = this.key(slot)
      head = Buffer.concat([Buffer.from(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n`), key, Buffer.from('\r\n')])
      this.heads[slot] = head
    }
    return head
  }

  /**
   * A batch begins: what was refused before the last one is in its own checkpoint by now.
   * @returns what tells later whether everything has been stopped meanwhile
   */
  begin(): AbortSignal {
    if (this.failedFor > 0 && --this.failedFor === 0) this.failed = []
    return this.stopping.signal
  }

  /**
   * Every node has answered for a batch.
   * @param at the last place of the stream in it; undefined = it has none
   * @param failed keys of its commands that failed, by their names at the target
   */
  async reached(checkpoint: Checkpoint, at: number | undefined, failed: readonly DirtyKey[]): Promise<void> {
    if (at !== undefined && at > this.at) this.at = at
    if (failed.length > 0) {
      this.failed = [...this.failed, ...failed]
      // The next batch may have been made before core heard of it.
      this.failedFor = 2
    }
    const { position, dirty } = checkpoint
    this.next = { position, dirty: this.failed.length === 0 ? dirty : [...dirty, ...this.failed], at: this.at }
    if (failed.length > 0) return this.flush()
    this.timer ??= setTimeout(() => {
      this.timer = null
      // A node that is out of reach is found by whoever writes to it.
      void this.flush().catch(() => undefined)
    }, MARK_MS)
  }

  /** Makes a position without changes durable. */
  async write(checkpoint: Checkpoint): Promise<void> {
    this.next = { position: checkpoint.position, dirty: [...checkpoint.dirty, ...this.failed], at: this.at }
    await this.flush()
  }

  /** Writes the mark that is due. @throws MigrateError FM_TARGET_LOST and others; it is due again then */
  flush(): Promise<void> {
    const turn = this.writing.then(async () => {
      const { next } = this
      if (next === null) return
      this.next = null
      try {
        await this.nodes.lookIfOld()
        await this.mark(next)
        this.last = next
      } catch (error) {
        this.next ??= next
        throw error
      }
    })
    this.writing = turn.catch(() => undefined)
    return turn
  }

  /** What a node's mark says before anything more is done to it: it must outlive that everything is emptied. */
  lastMark(slot: number): { readonly key: Buffer; readonly value: string } | null {
    const reached = this.next ?? this.last
    const node = this.nodes.ofSlot(slot)
    const slots = this.nodes.slotsOf().get(node)
    if (reached === null || slots === undefined) return null
    this.held?.add(slot)
    return { key: this.markKey(slot), value: encodeMark({ ...reached, slots, nodes: node.ids, copy: this.copy }) }
  }

  /**
   * Nothing of before is written any more once this has resolved: a mark of the time before a loss would say of the node that was
   * accepted in its place that it has what was lost.
   */
  async stop(): Promise<void> {
    this.next = null
    this.last = null
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.stopping.abort()
    await this.writing
    this.next = null
    this.stopping = new AbortController()
    this.commands = new RoutedCommands(this.nodes, this.patienceMs, this.clientName, this.stopping.signal)
  }

  /** Where to go on; undefined = nowhere. After a start or a loss it also finds what each slot has. */
  async load(): Promise<Checkpoint | undefined> {
    await this.flush()
    const { migration, shard } = this
    if (this.last !== null) {
      // Nothing was lost: where the marks are that this process writes, they say enough.
      const found: FoundMark[] = []
      const edges = this.nodes.all.flatMap((node) => [...this.nodes.edgesOf(node)])
      await this.overSome(
        edges,
        (slot) => ['GET', this.markKey(slot)],
        (slot, reply) => this.addMark(found, slot, reply),
      )
      const low = lowWater(found)
      if (low !== null) return { migration, shard, position: low.mark.position, dirty: low.dirty }
    }
    const found: FoundMark[] = []
    const own = new Float64Array(SLOTS).fill(-1)
    const held = new Set<number>()
    await this.overAll(
      (slot) => ['MGET', this.key(slot), this.markKey(slot)],
      (slot, reply) => {
        const [done, mark] = Array.isArray(reply) ? reply : []
        if (Buffer.isBuffer(done) || Buffer.isBuffer(mark)) held.add(slot)
        if (Buffer.isBuffer(done)) own[slot] = Number(done.toString('latin1'))
        this.addMark(found, slot, mark)
      },
    )
    // What this process has written before may have been lost, or be there.
    for (const [slot, head] of this.heads.entries()) if (head !== undefined) held.add(slot)
    for (const slot of this.held ?? []) held.add(slot)
    this.held = held
    for (const { mark } of found) this.copy = Math.max(this.copy, mark.copy)
    const low = lowWater(found)
    if (low === null) return undefined
    if (this.last === null) await this.goOn(low, own)
    return { migration, shard, position: low.mark.position, dirty: low.dirty }
  }

  private addMark(found: FoundMark[], slot: number, reply: unknown): void {
    if (Buffer.isBuffer(reply))
      found.push({ mark: decodeMark(reply.toString('utf8')), owner: this.nodes.ofSlot(slot).id })
  }

  /** Takes over what was found; nothing may be under way. */
  private async goOn({ mark, dirty, covered }: LowWater, own: Float64Array): Promise<void> {
    const raised: number[] = []
    for (let slot = 0; slot < SLOTS; slot++) {
      if (covered[slot] > own[slot] && covered[slot] > mark.at) raised.push(slot)
      this.done[slot] = Math.max(own[slot], covered[slot])
    }
    for (const slot of raised) this.held?.add(slot)
    await this.overSome(raised, (slot) => ['SET', this.key(slot), String(this.done[slot])])
    this.at = mark.at
    this.copy = mark.copy
    this.last = { position: mark.position, dirty, at: mark.at }
  }

  /** Removes everything that it has written. */
  async forget(): Promise<void> {
    await this.stop()
    const remove = (slot: number): (string | Buffer)[] => ['DEL', this.key(slot), this.markKey(slot)]
    if (this.held === null) await this.overAll(remove)
    else await this.overSome([...this.held], remove)
    this.held = new Set()
    this.heads.fill(undefined)
    this.done.fill(-1)
    this.at = 0
    this.copy = Math.max(this.copy + 1, Date.now())
    this.failed = []
  }

  private async mark(reached: Reached): Promise<void> {
    const commands: { slot: number; argv: (string | Buffer)[] }[] = []
    for (const [node, slots] of this.nodes.slotsOf()) {
      const value = encodeMark({ ...reached, slots, nodes: node.ids, copy: this.copy })
      for (const slot of this.nodes.edgesOf(node)) {
        this.held?.add(slot)
        commands.push({ slot, argv: ['SET', this.markKey(slot), value] })
      }
    }
    for (const reply of await this.commands.all(commands))
      if (reply instanceof ReplyError) throw refusalError(this.nodes.endpoint, reply.message)
  }

  /** Over every slot that may have a key. */
  private async overAll(
    argvOf: (slot: number) => (string | Buffer)[],
    take?: (slot: number, reply: unknown) => void,
  ): Promise<void> {
    const empty = await this.nodes.emptySlots()
    const slots = [...this.done.keys()].filter((slot) => !empty.has(slot))
    await this.overSome(slots, argvOf, take)
  }

  private async overSome(
    slots: readonly number[],
    argvOf: (slot: number) => (string | Buffer)[],
    take?: (slot: number, reply: unknown) => void,
  ): Promise<void> {
    for (let from = 0; from < slots.length; from += AT_ONCE) {
      const some = slots.slice(from, from + AT_ONCE)
      const replies = await this.commands.all(some.map((slot) => ({ slot, argv: argvOf(slot) })))
      for (const [i, reply] of replies.entries()) {
        if (reply instanceof ReplyError) throw refusalError(this.nodes.endpoint, reply.message)
        take?.(some[i], reply)
      }
    }
  }

  private key(slot: number): Buffer {
    return checkpointKey(this.migration, `${this.name}:{${slotTag(slot)}}`)
  }

  private markKey(slot: number): Buffer {
    return checkpointKey(this.migration, `${this.name}:mark:{${slotTag(slot)}}`)
  }

  /** Braces of its own would decide the slot. */
  private get name(): string {
    return this.shard.replace(/[{}]/g, '_')
  }
}
