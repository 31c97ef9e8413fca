import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import type {
  ShardTask,
  ShardWorker,
  StandingOrders,
  ToldByWorker,
  ToWorker,
  WorkerAnswers,
  WorkerListener,
  WorkerQuestion,
} from '@ferrite-migrate/core'
import type { RunHub, ShardEar } from './run-hub.js'

/** A shard that is to end counts as left when nobody has had it so often, so long apart. */
const LEFT_LOOKS = 8
const LEFT_MS = 1000

/** The worker that has one shard, whichever machine it is on, as the process sees it that follows the migration. */
export class RemoteShard implements ShardWorker, ShardEar {
  private readonly hub: RunHub
  private readonly shard: string
  private readonly listener: WorkerListener
  private readonly isLeft: () => Promise<boolean>
  private ended = false
  private ending = false

  /**
   * @param orders what all workers are to do: while this shard had no worker, a change may have gone by
   * @param isLeft true when no worker has the shard
   */
  constructor(
    hub: RunHub,
    shard: string,
    listener: WorkerListener,
    orders: StandingOrders & Pick<ShardTask, 'paused'>,
    isLeft: () => Promise<boolean>,
  ) {
    this.isLeft = isLeft
    this.hub = hub
    this.shard = shard
    this.listener = listener
    hub.attach(shard, this)
    this.order(orders)
  }

  told(message: ToldByWorker): void {
    if (!this.ended) this.listener.told(message)
  }

  replaced(why: MigrateError): void {
    this.over(why)
  }

  over(error: MigrateError | null): void {
    if (this.ended) return
    this.ended = true
    this.hub.detach(this.shard, this)
    this.listener.over(error)
  }

  /** Whatever all workers are to do stands in one record, which also those find that come later. */
  tell(message: ToWorker): void {
    const change = this.changeOf(message)
    if (change !== null) this.order(change)
    if (change?.ending !== undefined && !this.ending) void this.awaitEnd()
  }

  /** While the queue is away nobody writes for long: what was asked for is asked again by whoever waits for it. */
  private order(change: Parameters<RunHub['change']>[0]): void {
    void this.hub.change(change).catch(() => undefined)
  }

  /** Whoever has the shard says that it has ended; one that nobody has is not waited for. */
  private async awaitEnd(): Promise<void> {
    this.ending = true
    for (let left = 0; !this.ended && left < LEFT_LOOKS; ) {
      await sleep(LEFT_MS)
      left = (await this.isLeft().catch(() => false)) ? left + 1 : 0
      if (left === LEFT_LOOKS) this.over(null)
    }
  }

  async ask<Q extends WorkerQuestion>(what: Q, keys: readonly DirtyKey[] = []): Promise<WorkerAnswers[Q]> {
    const { hub, shard } = this
    const answer = await this.answerOf(hub, shard, what, keys)
    return answer as WorkerAnswers[Q]
  }

  /** Nothing of it is here. */
  async end(): Promise<void> {}

  private async answerOf(
    hub: RunHub,
    shard: string,
    what: WorkerQuestion,
    keys: readonly DirtyKey[],
  ): Promise<unknown> {
    if (what === 'freeze' || what === 'thaw') return hub.obeyed(shard, await hub.change({ frozen: what === 'freeze' }))
    if (what === 'lags') return [await hub.lagOf(shard)]
    return hub.ask(shard, what, keys)
  }

  private changeOf(message: ToWorker): Parameters<RunHub['change']>[0] | null {
    switch (message.kind) {
      case 'end-reading':
        return { ending: 'read' }
      case 'stop':
        return { ending: 'stop' }
      case 'pause':
        return { paused: true }
      case 'resume':
        return { paused: false }
      case 'track':
        return { tracking: message.on }
      default:
        return null
    }
  }
}
