import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import type {
  ShardWorker,
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

  /** @param isLeft true when no worker has the shard */
  constructor(hub: RunHub, shard: string, listener: WorkerListener, isLeft: () => Promise<boolean>) {
    this.isLeft = isLeft
    this.hub = hub
    this.shard = shard
    this.listener = listener
    hub.attach(shard, this)
  }

  told(message: ToldByWorker): void {
    if (!this.ended) this.listener.told(message)
  }

  placed(worker: string, host: string): void {
    this.told({ kind: 'event', event: { kind: 'placed', shard: this.shard, worker, host } })
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

  /** Everything else that workers are told stands in the record that all of them look at. */
  tell({ kind }: ToWorker): void {
    if (kind !== 'end-reading' && kind !== 'stop') return
    this.hub.order({ ending: kind === 'stop' ? 'stop' : 'read' })
    if (!this.ending) void this.awaitEnd()
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
    return (await this.answerOf(what, keys)) as WorkerAnswers[Q]
  }

  /** Nothing of it is here. */
  async end(): Promise<void> {}

  private async answerOf(what: WorkerQuestion, keys: readonly DirtyKey[]): Promise<unknown> {
    const { hub, shard } = this
    if (what === 'freeze' || what === 'thaw') return hub.obeyed(shard, await hub.change({ frozen: what === 'freeze' }))
    if (what === 'lags') return [await hub.lagOf(shard)]
    return hub.ask(shard, what, keys)
  }
}
