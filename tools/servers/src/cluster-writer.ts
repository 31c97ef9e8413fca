import { setTimeout as sleep } from 'node:timers/promises'
import { keySlot, ReplyError } from '@ferrite-migrate/protocol'
import { Random } from './random.js'
import { RoutedClient } from './routed-client.js'
import { type End, type Routes, routesTo } from './routes.js'
import { WriterLog } from './writer-log.js'
import { writerStep } from './writer-operations.js'

export interface ClusterWriterOptions {
  /** Clients, each with connections of its own and one step at a time. Default 4. */
  readonly clients?: number
  /** Steps a second of all clients together; 0 = as fast as it goes. Default 0. */
  readonly perSecond?: number
  /** Decides what each client does, step by step. Default 1. */
  readonly seed?: number
  /** Hash tags that keys are made of. Default 100. */
  readonly tags?: number
  /** Start of all names. Default none. */
  readonly prefix?: string
}

const REFUSALS = 20

/**
 * Writes to a cluster as its clients do, while slots move and nodes fail: INCR, RPUSH, APPEND, XADD, SPOP, RENAME, expiries, MULTI
 * and EVAL, each step within one hash tag. The log tells what was acknowledged; a step whose answer was lost is not sent again.
 */
export class ClusterWriter {
  readonly log = new WriterLog()
  private readonly options: Required<ClusterWriterOptions>
  private readonly ending = new AbortController()
  private running: Promise<unknown> = Promise.resolve()

  private constructor(options: ClusterWriterOptions) {
    this.options = { clients: 4, perSecond: 0, seed: 1, tags: 100, prefix: '', ...options }
  }

  /** @param end a cluster, or one server that may be another one later. @throws Error when it is out of reach */
  static async start(end: End, options: ClusterWriterOptions = {}): Promise<ClusterWriter> {
    const routes = await routesTo(end)
    const writer = new ClusterWriter(options)
    const clients = Array.from({ length: writer.options.clients }, (_, i) => writer.write(routes, i))
    writer.running = Promise.all(clients)
    return writer
  }

  /** Lets each client end the step that it is at. */
  async stop(): Promise<WriterLog> {
    this.ending.abort()
    await this.running
    return this.log
  }

  private async write(routes: Routes, number: number): Promise<void> {
    const { clients, perSecond, seed, tags, prefix } = this.options
    const { signal } = this.ending
    const random = new Random(seed * 1000 + number)
    const client = new RoutedClient(routes, this.log.detours, signal)
    const startedAt = performance.now()
    for (let n = 0; !signal.aborted; n++) {
      const dueAt = perSecond === 0 ? 0 : startedAt + (n * clients * 1000) / perSecond
      const wait = dueAt - performance.now()
      if (wait > 1) await sleep(wait, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) break
      const step = writerStep(random, tags, prefix, `${seed}-${number}-${n}`)
      const reply = await client.run(keySlot(Buffer.from(step.key)), step.commands)
      this.log.note(step, reply === undefined ? 'unknown' : reply instanceof ReplyError ? 'refused' : 'acknowledged')
      if (reply instanceof ReplyError && this.log.refusals.length < REFUSALS) this.log.refusals.push(reply.message)
    }
    client.close()
  }
}
