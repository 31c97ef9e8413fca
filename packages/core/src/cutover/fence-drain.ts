import { setTimeout as sleep } from 'node:timers/promises'
import { type Fence, MigrateError, type Position, type Shard } from '@ferrite-migrate/contracts'
import { covers } from '../engine/lanes/position-queue.js'
import type { MigrationStatus } from '../state/status.js'

const LOOK_MS = 5
const QUIET_LOOK_MS = 50
/** Silence after which a source without positions counts as drained. */
const QUIET_MS = 1500
/** A source that moves on so often behind a fence is written to. */
const MOST_MOVES = 50

/** What is drained: a migration, by what it has applied. */
export interface Drained {
  readonly source: { readonly shards: readonly Pick<Shard, 'id' | 'covers'>[] }
  status(): Pick<MigrationStatus, 'lagKeys' | 'lagBytes'>
  readLag(): Promise<void>
  /** The last durable position of a shard. */
  applied(shard: string): Position | undefined
  /** Of the last lag that was read, what is on its way between shards, and in no stream any more; absent = nothing can be. */
  unsettled?(): number
}

type Marks = ReadonlyMap<string, Position>

/** Waits behind a fence until everything that was written before it is durable at the target. */
export class FenceDrain {
  private readonly of: Drained
  private readonly fence: Pick<Fence, 'positions'> | null
  private readonly deadline: number
  private readonly mustGoOn: () => void

  /**
   * @param fence null = none: only silence tells that nothing is on its way any more
   * @param mustGoOn throws when nobody wants it any more
   */
  constructor(of: Drained, fence: Pick<Fence, 'positions'> | null, timeoutMs: number, mustGoOn: () => void) {
    this.of = of
    this.fence = fence
    this.deadline = Date.now() + timeoutMs
    this.mustGoOn = mustGoOn
  }

  /**
   * Gives in words what it waited for.
   * @throws MigrateError FM_CUTOVER_DRAIN when it takes too long, FM_FENCE_LEAKS when the source is still written to
   */
  async run(): Promise<string> {
    const marks = await this.fence?.positions()
    if (this.fence === null || marks === undefined || marks.size === 0) {
      await this.silence()
      return `nothing came for ${QUIET_MS} ms`
    }
    await this.reach(this.fence, marks)
    await this.mustBeSettled()
    return 'everything up to the fence is applied, and the source stands still'
  }

  private async silence(): Promise<void> {
    const { of } = this
    for (let quietSince = Date.now(); Date.now() - quietSince < QUIET_MS; await sleep(QUIET_LOOK_MS)) {
      this.mustGoOn()
      await of.readLag()
      const { lagKeys, lagBytes } = of.status()
      const unknown = lagKeys === null && lagBytes === null
      if (unknown || (lagKeys ?? 0) > 0 || (lagBytes ?? 0) > 0) quietSince = Date.now()
      this.mustBeInTime()
    }
  }

  /** Until what is applied reaches the place of the source, twice the same: then the fence holds. */
  private async reach(fence: Pick<Fence, 'positions'>, first: Marks): Promise<void> {
    let marks = first
    for (let moved = 0; ; moved++) {
      await this.awaitApplied(marks)
      const now = await fence.positions()
      if (this.stands(marks, now)) return
      if (moved >= MOST_MOVES)
        throw new MigrateError(
          'FM_FENCE_LEAKS',
          'the source is still written to behind the fence',
          'Find out who writes (replicas, scripts, another primary), or stop the writers yourself and give --fence none.',
        )
      marks = now
    }
  }

  private async awaitApplied(marks: Marks): Promise<void> {
    for (const shard of this.of.source.shards) {
      const mark = marks.get(shard.id)
      if (mark === undefined) continue
      for (;;) {
        const applied = this.of.applied(shard.id)
        if (applied !== undefined && covers(shard, applied, mark)) break
        this.mustGoOn()
        this.mustBeInTime()
        await sleep(LOOK_MS)
      }
    }
  }

  /** What workers hand to each other is not applied because their streams are. */
  private async mustBeSettled(): Promise<void> {
    const { of } = this
    if (of.unsettled === undefined) return
    await of.readLag()
    if (of.unsettled() > 0)
      throw new MigrateError(
        'FM_CUTOVER_DRAIN',
        'keys of the source are still on their way from shard to shard',
        'Switch over when its slots are at rest; the migration goes on.',
      )
  }

  private stands(marks: Marks, now: Marks): boolean {
    return this.of.source.shards.every((shard) => {
      const mark = marks.get(shard.id)
      const position = now.get(shard.id)
      return mark === undefined || position === undefined || covers(shard, mark, position)
    })
  }

  private mustBeInTime(): void {
    if (Date.now() > this.deadline)
      throw new MigrateError(
        'FM_CUTOVER_DRAIN',
        'the target did not catch up behind the fence in time',
        'Try again when the lag is smaller, or give more time with --timeout.',
      )
  }
}
