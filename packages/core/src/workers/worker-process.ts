import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { type DirtyKey, errorFromTold, MigrateError } from '@ferrite-migrate/contracts'
import { revived } from '../records/revived.js'
import type { ShardTask } from './shard-task.js'
import type { ShardWorker, WorkerListener } from './shard-worker.js'
import type { FromWorker, ToWorker, WorkerAnswers, WorkerQuestion } from './worker-message.js'

const MAIN = createRequire(import.meta.url).resolve('#worker-main')
/** Bytes kept of what a process says when it dies. */
const SAID_BYTES = 2000

/** How long a process may take to leave once its work is over. */
const EXITS_WITHIN_MS = 5000

/** A process of this machine that runs shards of a migration. */
export class WorkerProcess implements ShardWorker {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, PromiseWithResolvers<unknown>>()
  private next = 0
  private ended = false
  private readonly gone: Promise<void>

  constructor(task: ShardTask, listener: WorkerListener) {
    const child = fork(MAIN, [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.child = child
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < SAID_BYTES) said += text.slice(0, SAID_BYTES)
    })
    const end = (error: MigrateError | null): void => {
      if (this.ended) return
      this.ended = true
      for (const { reject } of this.waiting.values()) reject(error ?? lost('it is over'))
      this.waiting.clear()
      listener.over(error)
    }
    child.on('message', (message: FromWorker) => {
      if (message.kind === 'answer') this.settle(message.id, ({ resolve }) => resolve(message.answer))
      else if (message.kind === 'refusal') this.settle(message.id, ({ reject }) => reject(errorFromTold(message.fault)))
      else if (message.kind === 'over') end(message.fault && errorFromTold(message.fault))
      else if (!this.ended) listener.told(message)
    })
    const why = Promise.withResolvers<void>()
    this.gone = why.promise
    child.on('error', (error) => {
      end(lost(`it could not be started: ${error.message}`))
      why.resolve()
    })
    child.on('exit', (code, signal) => {
      const last = said.match(/^\w*Error.*$/m)?.[0]
      end(lost(`it ended (${signal ?? code})${last === undefined ? '' : `: ${last}`}`))
      why.resolve()
    })
    this.tell({ kind: 'run', task })
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  tell(message: ToWorker): void {
    // That it is gone is told by its end.
    if (this.child.connected) this.child.send(message, () => undefined)
  }

  /** @throws MigrateError what the worker failed with, FM_WORKER_LOST when it is gone */
  async ask<Q extends WorkerQuestion>(what: Q, keys: readonly DirtyKey[] = []): Promise<WorkerAnswers[Q]> {
    if (this.ended) throw lost('it is gone')
    const id = this.next++
    const waiting = Promise.withResolvers<unknown>()
    this.waiting.set(id, waiting)
    this.tell({ kind: 'ask', id, what, keys })
    return revived<WorkerAnswers[Q]>(await waiting.promise)
  }

  /** Waits until it is gone, and ends it where that takes too long: nothing of it is left that could still write. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXITS_WITHIN_MS)
    await this.gone
    clearTimeout(timer)
  }

  private settle(id: number, how: (waiting: PromiseWithResolvers<unknown>) => void): void {
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    if (waiting !== undefined) how(waiting)
  }
}

function lost(why: string): MigrateError {
  return new MigrateError(
    'FM_WORKER_LOST',
    `a worker process was lost: ${why}`,
    'Its shards are given to a new one. Where it happens again and again, look for what ends processes here (memory), or leave --workers out.',
    { retryable: true },
  )
}
