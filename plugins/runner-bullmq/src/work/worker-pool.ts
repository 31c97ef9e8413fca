import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { machineName } from '@ferrite-migrate/core'
import { WorkerMeasures } from './worker-measures.js'
import type { FromShardProcess, ShardProcessTask, ToShardProcess } from './worker-message.js'

const MAIN = fileURLToPath(new URL('./shard-process-main.js', import.meta.url))
const AGAIN_MS = 1000
/** A process that dies at once again and again is not started faster than this, ms. */
const LONGEST_MS = 15_000
/** One that has not begun by then waits for a server: others are not to wait for it, ms. */
const OPENS_WITHIN_MS = 10_000
/** How long processes have to give their work back. */
const LEAVES_WITHIN_MS = 20_000

export interface WorkerPoolNeeds {
  readonly task: Omit<ShardProcessTask, 'name'>
  readonly concurrency: number
  say(level: 'info' | 'warn' | 'error', text: string): void
}

/** The processes of one machine: one more than work, as long as there may be more. Each runs one shard at a time. */
export class WorkerPool {
  /** Of the shards that run here. */
  readonly measures = new WorkerMeasures()
  private readonly needs: WorkerPoolNeeds
  private readonly processes = new Map<ChildProcess, { readonly name: string; waits: boolean }>()
  private readonly ended = Promise.withResolvers<void>()
  private readonly id = randomBytes(2).toString('hex')
  private count = 0
  private stopped = false
  private failures = 0

  constructor(needs: WorkerPoolNeeds) {
    this.needs = needs
  }

  /** Resolves when it was stopped and no process is left. */
  run(): Promise<void> {
    this.start()
    return this.ended.promise
  }

  /** What runs is given back to the queue, and others go on. */
  stop(): void {
    this.stopped = true
    if (this.processes.size === 0) this.ended.resolve()
    for (const child of this.processes.keys()) tell(child, { kind: 'stop' })
    setTimeout(() => {
      for (const child of this.processes.keys()) child.kill('SIGKILL')
    }, LEAVES_WITHIN_MS).unref()
  }

  private start(): void {
    if (this.stopped || this.processes.size >= this.needs.concurrency) return
    const name = `${machineName()}.${this.id}.${++this.count}`
    const child = fork(MAIN, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      detached: true,
    })
    const state = { name, waits: false }
    this.processes.set(child, state)
    child.on('message', (message: FromShardProcess) => this.hear(state, message))
    child.on('error', () => undefined)
    child.on('exit', (code, signal) => void this.gone(child, code, signal))
    tell(child, { kind: 'run', task: { ...this.needs.task, name } })
  }

  private hear(state: { readonly name: string; waits: boolean }, message: FromShardProcess): void {
    const { say } = this.needs
    switch (message.kind) {
      case 'waits':
        this.failures = 0
        state.waits = true
        this.measures.forget(state.name)
        return
      case 'works':
        say('info', `${state.name} ${message.text}`)
        state.waits = false
        setTimeout(() => this.keepOneWaiting(), OPENS_WITHIN_MS).unref()
        return
      case 'begun':
        return this.keepOneWaiting()
      case 'measured':
        return this.measures.set(state.name, message.migration, message.samples)
      case 'said':
        return say(message.level, `${state.name}: ${message.text}`)
      case 'unfit':
        return say('error', `${state.name} cannot do this work: ${message.text}`)
    }
  }

  /**
   * Somebody has to be there for the next one. Not before the last one has begun: processes that open large clusters all at once would
   * keep each other from renewing their locks.
   */
  private keepOneWaiting(): void {
    if (![...this.processes.values()].some(({ waits }) => waits)) this.start()
  }

  private async gone(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    const state = this.processes.get(child)
    this.processes.delete(child)
    if (state !== undefined) this.measures.forget(state.name)
    if (this.stopped) {
      if (this.processes.size === 0) this.ended.resolve()
      return
    }
    if (code !== 0) this.needs.say('warn', `${state?.name} has ended (${signal ?? code}); another one takes its place`)
    await sleep(Math.min(AGAIN_MS * 2 ** this.failures++, LONGEST_MS))
    // Of many that were lost at once one after the other comes back.
    this.keepOneWaiting()
  }
}

function tell(child: ChildProcess, message: ToShardProcess): void {
  if (child.connected) child.send(message, () => undefined)
}
