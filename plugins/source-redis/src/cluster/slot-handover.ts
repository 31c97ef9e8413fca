import { counted, type DirtyKey, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'
import type { ClusterView } from '@ferrite-migrate/redis'
import type { DoubtfulKeys } from './doubtful-keys.js'
import type { SlotOwners } from './slot-owners.js'

/** The same fault is told again after this time. */
const SAY_AGAIN_MS = 10_000

/** So long after a trace of a move in a stream it counts as over where no view has shown it; looks come every second. */
const MOVING_MS = 3000

/** A shard as a handover sees it. */
export interface HandoverShard {
  readonly id: string
  /** Its snapshot is done: from now on it can read keys together with their place in its stream. */
  readonly isLive: boolean
  /** Nothing comes of it any more. */
  readonly isOver: boolean
  /** All that was given of its stream so far, as a place; null = nothing. */
  readonly given: number | null
  /** Up to where all is durable at the target; null = nothing is. */
  readonly durable: number | null
  /** Events that it gave so far, and of these how many whoever reads has taken whole, with all that they made him read and write. */
  readonly eventsGiven: number
  readonly eventsTaken: number
  /** Where the server stands now; null = it is no primary any more. @throws MigrateError */
  standing(): Promise<number | null>
  /** All keys that it has of these slots. @throws MigrateError */
  keysOf(slots: readonly number[]): Promise<DirtyKey[]>
  /** Has these keys read again, after all that was given so far. @param sweep what it no longer has is looked for as well */
  readAgain(keys: readonly DirtyKey[], sweep: boolean): void
}

/** Slots on their way from one shard to another. */
interface Handover {
  readonly slots: readonly number[]
  readonly from: HandoverShard | null
  readonly to: HandoverShard
  /** What the giver had given when its commands were no longer taken: it must be durable first. */
  readonly mark: number | null
  /** Of its events the last one until then: what it had read again must be written too. */
  readonly events: number
}

/** Slots that were taken over while the giver's stream still has commands of before. */
interface Tail {
  readonly slots: readonly number[]
  readonly from: HandoverShard
  readonly until: number
}

/**
 * Brings slots from shard to shard as the cluster does. A command is taken only from the shard that has its slot; what others say of
 * the slot is noted, so that its keys are read again. Once all primaries agree on another owner, nobody's commands are taken, then,
 * when what the giver had given is durable, the new owner's are, and it reads all keys of the slot once more, each together with its
 * place in the stream. So nothing is done twice, whatever a move copies, deletes or takes back.
 */
export class SlotHandover {
  private readonly owners: SlotOwners
  private readonly doubtful: DoubtfulKeys
  private readonly logger: Logger
  private readonly shards = new Map<string, HandoverShard>()
  private readonly underWay: Handover[] = []
  private readonly tails: Tail[] = []
  /** Slots of `underWay` and `tails`. */
  private readonly open = new Set<number>()
  /** Slots of which an ordinary move was seen: every key of it has left a trace. */
  private readonly traced = new Set<number>()
  /** Slots that move: null = the last view says so; else when a stream showed it, ms. */
  private readonly moving = new Map<number, number | null>()
  private working = false
  /** Why slots can never be handed over; null = they can. */
  failure: MigrateError | null = null
  /** What was said last, and when: the same is not said with every look. */
  private said = { text: '', at: 0 }
  private openSince: number | null = null
  /** Another number each time that slots are opened or closed. */
  private opened = 0
  /** With what slots were looked through last. */
  private begun: { readonly view: ClusterView | null; readonly state: string } = { view: null, state: '' }

  constructor(owners: SlotOwners, doubtful: DoubtfulKeys, logger: Logger) {
    this.owners = owners
    this.doubtful = doubtful
    this.logger = logger
  }

  join(shard: HandoverShard): void {
    this.shards.set(shard.id, shard)
  }

  leave(shard: string): void {
    this.shards.delete(shard)
  }

  /** Of all shards that are read, the first. */
  isFirst(shard: string): boolean {
    const [first] = this.shards.keys()
    return first === shard
  }

  /** Slots and keys that are not where they belong yet. */
  get pending(): number {
    return this.open.size + this.doubtful.size
  }

  /** True for slots that may be wrong at the target: whoever goes on from now must read them again. */
  isDoubtful(slot: number): boolean {
    return this.open.has(slot) || this.doubtful.has(slot)
  }

  /** An ordinary move of this slot was seen. */
  trace(slot: number): void {
    this.traced.add(slot)
    if (this.moving.get(slot) !== null) this.moving.set(slot, Date.now())
  }

  /** Keys of this slot may be on their way to another node right now. */
  isMoving(slot: number): boolean {
    return this.moving.has(slot)
  }

  /** Looks what there is to do; called for every view, and when something was given or became durable. */
  async step(view: ClusterView): Promise<void> {
    if (this.working) return
    this.working = true
    try {
      this.noteMoving(view)
      this.redirect(view)
      this.begin(view)
      for (const handover of [...this.underWay])
        if (!handover.to.isOver && this.isQuiet(handover)) await this.finish(handover)
      this.endTails()
      this.settleDoubts(view)
      this.owners.touched()
    } catch (error) {
      if (error instanceof MigrateError && !error.retryable) this.failure = error
      // The next view brings the next try.
      this.say(`slots cannot be handed over now: ${(error as Error).message}`)
    } finally {
      this.working = false
    }
  }

  private noteMoving(view: ClusterView): void {
    const now = Date.now()
    for (const [slot, at] of this.moving)
      if (!view.moving.has(slot) && (at === null || now - at > MOVING_MS)) this.moving.delete(slot)
    for (const slot of view.moving.keys()) this.moving.set(slot, null)
  }

  /** A slot that stays under way keeps its keys from the target, and the run from its end. */
  private tellOpen(slots: readonly number[]): void {
    this.openSince ??= Date.now()
    if (Date.now() - this.openSince < SAY_AGAIN_MS) return
    const shown = `${slots.slice(0, 10).join(', ')}${slots.length > 10 ? ', …' : ''}`
    this.say(
      `${counted(slots.length, 'slot')} of the source stay under way (${shown}): keys of theirs wait until the move is over or called off`,
    )
  }

  private say(text: string): void {
    if (text === this.said.text && Date.now() - this.said.at < SAY_AGAIN_MS) return
    this.said = { text, at: Date.now() }
    this.logger.log('warn', text)
  }

  /** Who can take a slot over now; undefined = nobody, for the moment. */
  private takerOf(slot: number, view: ClusterView): HandoverShard | undefined {
    const owner = view.shards[view.owners[slot]]?.name
    if (owner === undefined || view.disputed.has(slot) || view.moving.has(slot)) return undefined
    const shard = this.shards.get(owner)
    return shard?.isLive ? shard : undefined
  }

  /** Slots whose new owner has left before it took them over go to whoever has them now, when their giver is quiet as before. */
  private redirect(view: ClusterView): void {
    for (const handover of this.underWay.filter(({ to }) => to.isOver)) {
      const takers = new Map<HandoverShard, number[]>()
      for (const slot of handover.slots) {
        const taker = this.takerOf(slot, view)
        if (taker === undefined) continue
        const slots = takers.get(taker)
        if (slots === undefined) takers.set(taker, [slot])
        else slots.push(slot)
      }
      for (const [to, slots] of takers) {
        this.underWay.push({ ...handover, slots, to })
        // What happened at the one that left may have left no trace.
        for (const slot of slots) this.traced.delete(slot)
      }
      const taken = new Set([...takers.values()].flat())
      const left = handover.slots.filter((slot) => !taken.has(slot))
      this.underWay.splice(
        this.underWay.indexOf(handover),
        1,
        ...(left.length > 0 ? [{ ...handover, slots: left }] : []),
      )
    }
  }

  /** From now on nobody's commands are taken for slots that have another owner. */
  private begin(view: ClusterView): void {
    // Every event of every shard asks, and nearly always all is as it was.
    const state = `${this.owners.version} ${this.opened} ${this.tails.length} ${this.liveShards}`
    if (view === this.begun.view && state === this.begun.state) return
    this.begun = { view, state }
    const groups = new Map<string, { from: HandoverShard | null; to: HandoverShard; slots: number[] }>()
    for (let slot = 0; slot < SLOTS; slot++) {
      if (view.moving.has(slot)) this.traced.add(slot)
      const owner = view.shards[view.owners[slot]]?.name
      const former = this.owners.of(slot)
      if (owner === undefined || owner === former || this.isOpen(slot)) continue
      const to = this.takerOf(slot, view)
      if (to === undefined) continue
      const from = former === null ? null : (this.shards.get(former) ?? null)
      const name = `${former ?? ''} ${owner}`
      const group = groups.get(name)
      if (group === undefined) groups.set(name, { from, to, slots: [slot] })
      else group.slots.push(slot)
    }
    for (const { from, to, slots } of groups.values()) {
      this.owners.give(slots, null)
      for (const slot of slots) this.open.add(slot)
      this.opened++
      this.underWay.push({ slots, from, to, mark: from?.given ?? null, events: from?.eventsGiven ?? 0 })
    }
  }

  private get liveShards(): string {
    let live = ''
    for (const { id, isLive } of this.shards.values()) if (isLive) live += `${id} `
    return live
  }

  private isOpen(slot: number): boolean {
    return this.open.has(slot) && !this.tails.some(({ slots }) => slots.includes(slot))
  }

  private isQuiet({ from, mark, events }: Handover): boolean {
    if (from === null || from.isOver) return true
    return from.eventsTaken >= events && (mark === null || (from.durable !== null && from.durable >= mark))
  }

  /** The new owner's commands are taken, and all keys of the slots are read again before them. */
  private async finish(handover: Handover): Promise<void> {
    const { slots, from, to } = handover
    const until = from === null || from.isOver ? null : await from.standing()
    const listed = await to.keysOf(slots)
    // In one step: what was left out until now is among the keys in doubt, and what comes from now on is taken.
    this.owners.give(slots, to.id)
    for (const slot of slots) this.moving.delete(slot)
    let sweep = until === null
    const doubtful: DirtyKey[][] = []
    for (const slot of slots) {
      const doubts = this.doubtful.take(slot)
      if (doubts.keys.length > 0) doubtful.push([...doubts.keys])
      sweep ||= doubts.whole || !this.traced.delete(slot)
    }
    const keys = onceEach([listed, ...doubtful])
    to.readAgain(keys, sweep)
    this.underWay.splice(this.underWay.indexOf(handover), 1)
    if (from !== null && until !== null) this.tails.push({ slots, from, until })
    else for (const slot of slots) this.open.delete(slot)
    this.opened++
    this.logger.log('debug', `${slots.length} slots handed over to ${to.id}: ${keys.length} keys are read again`)
  }

  /** Slots are whole once the giver's stream has nothing of before any more. */
  private endTails(): void {
    for (const tail of [...this.tails]) {
      const { from, until, slots } = tail
      if (!from.isOver && (from.given ?? -1) < until) continue
      this.tails.splice(this.tails.indexOf(tail), 1)
      const others = new Set([...this.tails, ...this.underWay].flatMap((one) => one.slots))
      for (const slot of slots) if (!others.has(slot)) this.open.delete(slot)
      this.opened++
    }
  }

  /** Keys in doubt of slots that are at rest are read again by whoever has these. */
  private settleDoubts(view: ClusterView): void {
    const orders = new Map<HandoverShard, { keys: DirtyKey[]; sweep: boolean }>()
    const open: number[] = []
    for (const slot of this.doubtful.numbers) {
      const owner = this.owners.of(slot)
      const shard = owner === null ? undefined : this.shards.get(owner)
      if (shard === undefined || !shard.isLive) continue
      if (view.moving.has(slot)) open.push(slot)
      if (this.isMoving(slot) || view.disputed.has(slot) || view.shards[view.owners[slot]]?.name !== owner) continue
      const { keys, whole } = this.doubtful.take(slot)
      const order = orders.get(shard) ?? { keys: [], sweep: false }
      for (const key of keys) order.keys.push(key)
      order.sweep ||= whole
      orders.set(shard, order)
    }
    for (const [shard, { keys, sweep }] of orders) shard.readAgain(keys, sweep)
    if (open.length > 0) this.tellOpen(open)
    else this.openSince = null
  }
}

/** All of these keys, none of them twice. */
function onceEach(lists: readonly (readonly DirtyKey[])[]): readonly DirtyKey[] {
  const [first, ...others] = lists
  if (others.length === 0) return first
  const named = new Map<string, DirtyKey>()
  for (const keys of lists) for (const one of keys) named.set(`${one.db} ${one.key.toString('latin1')}`, one)
  return [...named.values()]
}
