import { type DirtyKey, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { type ClusterTopology, type ClusterView, ownerNames, type SlotKeys } from '@ferrite-migrate/redis'
import type { ChangeFeed } from '../change-feed.js'
import type { NotificationFeed } from '../notification-feed.js'

export interface ClusterFeedNeeds {
  readonly topology: ClusterTopology
  readonly slotKeys: SlotKeys
  readonly logger: Logger
  /** The events of a shard, whichever node is its primary; `told` is called with each. */
  feed(shard: string, told: () => void): Promise<NotificationFeed>
}

/**
 * The events of all primaries of a cluster. Keys of slots that get another owner count as changed: no event tells of those that moved
 * before the new owner was listened to, or that the former one has dropped.
 */
export class ClusterFeed implements ChangeFeed {
  private readonly needs: ClusterFeedNeeds
  private readonly feeds = new Map<string, NotificationFeed>()
  /** Of shards that are no more. */
  private formerEvents = 0
  /** Keys of slots that have moved. */
  private moved: DirtyKey[] = []
  private owners: readonly (string | undefined)[] = []
  private lost = false
  private vanished = false
  private failure: MigrateError | null = null
  private closed = false
  private seeing: Promise<void> = Promise.resolve()
  private wake: (() => void) | null = null
  private unfollow: (() => void) | null = null

  constructor(needs: ClusterFeedNeeds) {
    this.needs = needs
  }

  get events(): number {
    return [...this.feeds.values()].reduce((sum, { events }) => sum + events, this.formerEvents)
  }

  get proven(): boolean {
    return [...this.feeds.values()].every(({ proven }) => proven)
  }

  get pending(): number {
    return [...this.feeds.values()].reduce((sum, { pending }) => sum + pending, this.moved.length)
  }

  get streamCount(): number {
    return [...this.feeds.values()].reduce((sum, { streamCount }) => sum + streamCount, 0)
  }

  async start(): Promise<void> {
    const { topology } = this.needs
    const view = await topology.look()
    this.owners = ownerNames(view)
    const names = view.shards.filter(({ primary }) => primary.slots.length > 0).map(({ name }) => name)
    // Asked once more after a part of them did not answer, it only adds those.
    const added = await Promise.allSettled(names.filter((name) => !this.feeds.has(name)).map((name) => this.add(name)))
    const failed = added.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    this.unfollow = topology.follow((seen) => {
      // One look after the other.
      this.seeing = this.seeing.then(() => this.see(seen))
    })
  }

  takeMissed(): boolean {
    const missed = [...this.feeds.values()].filter((feed) => feed.takeMissed()).length > 0 || this.lost
    this.lost = false
    return missed
  }

  takeVanished(): boolean {
    const { vanished } = this
    this.vanished = false
    return vanished
  }

  take(most: number): DirtyKey[] {
    const taken = this.moved.splice(0, most)
    for (const feed of this.feeds.values()) taken.push(...feed.take(most - taken.length))
    return taken
  }

  addStream(db: number, key: Buffer): void {
    const [feed] = this.feeds.values()
    feed?.addStream(db, key)
  }

  takeStreams(most: number): DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const feed of this.feeds.values()) taken.push(...feed.takeStreams(most - taken.length))
    return taken
  }

  async wait(ms: number): Promise<void> {
    if (this.failure !== null) throw this.failure
    if (this.pending > 0 || this.lost || this.closed) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    if (this.failure !== null) throw this.failure
    // One of them may have ended.
    await Promise.all([...this.feeds.values()].map((feed) => feed.wait(0)))
  }

  async close(): Promise<void> {
    this.closed = true
    this.unfollow?.()
    this.notify()
    await this.seeing
    await Promise.all([...this.feeds.values()].map((feed) => feed.close()))
  }

  private readonly notify = (): void => {
    this.wake?.()
    this.wake = null
  }

  private async add(name: string): Promise<void> {
    const feed = await this.needs.feed(name, this.notify)
    try {
      await feed.start()
    } catch (error) {
      await feed.close()
      throw error
    }
    this.feeds.set(name, feed)
  }

  private async see(view: ClusterView): Promise<void> {
    if (this.closed) return
    try {
      await this.seeShards(view)
      await this.seeSlots(view)
    } catch (error) {
      // What could not be listed has changed, for all that is known.
      this.lost = true
      if (error instanceof MigrateError && error.retryable)
        this.needs.logger.log('warn', `the cluster changed, and a part of it does not answer yet: ${error.message}`)
      else this.failure ??= error as MigrateError
    }
    if (this.lost || this.moved.length > 0 || this.failure !== null) this.notify()
  }

  private async seeShards({ shards }: ClusterView): Promise<void> {
    const names = new Set(shards.filter(({ primary }) => primary.slots.length > 0).map(({ name }) => name))
    for (const name of names)
      if (!this.feeds.has(name)) {
        await this.add(name)
        // It had its slots before it was listened to.
        this.lost = true
      }
    for (const [name, feed] of this.feeds) {
      if (names.has(name)) continue
      this.feeds.delete(name)
      this.formerEvents += feed.events
      this.moved = this.moved.concat(feed.take(Number.POSITIVE_INFINITY))
      await feed.close()
    }
  }

  private async seeSlots(view: ClusterView): Promise<void> {
    const before = this.owners
    const now = ownerNames(view)
    this.owners = now
    const gained = new Map<string, number[]>()
    for (const [slot, owner] of now.entries())
      if (owner !== undefined && owner !== before[slot]) gained.set(owner, [...(gained.get(owner) ?? []), slot])
    for (const [owner, slots] of gained) {
      this.moved = this.moved.concat(await this.needs.slotKeys.of(owner, slots))
      this.vanished = true
    }
  }
}
