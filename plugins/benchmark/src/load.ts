import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { ReplyCounter, RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'
import type { Histogram } from 'hdr-histogram-js'
import type { BenchCommand } from './commands.js'

export interface LoadOptions {
  readonly endpoint: Endpoint
  readonly clients: number
  readonly pipeline: number
  readonly dataSize: number
  readonly keyspace: number
  readonly prefix: string
  /** Operations a second over all clients; 0 = as fast as they are answered. */
  readonly rate: number
  readonly signal?: AbortSignal
}

/** One connection whose replies are only counted. */
class Client {
  private readonly link: RedisLink
  private readonly out = new RespWriter(64 << 10)
  private left = 0
  private wake: (() => void) | null = null
  error: string | null = null

  private constructor(link: RedisLink) {
    this.link = link
    const counter = new ReplyCounter(
      (_index, _inner, text) => {
        this.error ??= text
      },
      () => undefined,
      () => {
        if (--this.left === 0) this.wake?.()
      },
    )
    link.takeOver(
      (data) => counter.push(data),
      () => this.left > 0,
    )
    void link.closed.then((reason) => {
      this.error ??= reason?.message ?? null
      this.wake?.()
    })
  }

  static async open(endpoint: Endpoint, signal: AbortSignal | undefined): Promise<Client> {
    const link = await RedisLink.open(endpoint, null, undefined, signal)
    link.hurryAfter(signal)
    return new Client(link)
  }

  /** Sends `count` commands at once and resolves when all are answered. */
  send(count: number, write: (out: RespWriter) => void): Promise<void> {
    for (let i = 0; i < count; i++) write(this.out)
    const data = this.out.take()
    this.left = count
    return new Promise((resolve) => {
      this.wake = resolve
      this.link.send(data, () => this.out.recycle(data))
    })
  }

  close(): void {
    this.link.close()
  }
}

/** The clients of one side. Stays connected over several measurements. */
export class Load {
  private readonly options: LoadOptions
  private readonly clients: Client[] = []
  private readonly value: Buffer
  private n = 0

  constructor(options: LoadOptions) {
    this.options = options
    this.value = Buffer.alloc(options.dataSize, 'x')
  }

  async open(): Promise<void> {
    for (let i = 0; i < this.options.clients; i++)
      this.clients.push(await Client.open(this.options.endpoint, this.options.signal))
  }

  private key(n: number): string {
    return `${this.options.prefix}${n % this.options.keyspace}`
  }

  async prepare(command: BenchCommand): Promise<void> {
    const { keyspace } = this.options
    let n = 0
    for (let left = keyspace; left > 0; left -= 500)
      await this.clients[0].send(Math.min(500, left), (out) => command.prepare(out, this.key(n++), this.value))
    this.check(command)
  }

  /**
   * Runs `operations` commands; latencies, in microseconds, go into the histogram. With a rate they count from when an
   * operation was due, so that a server that stops is not spared by those that could not be sent meanwhile.
   * @returns how long it took, ms
   */
  async run(command: BenchCommand, operations: number, histogram: Histogram | null): Promise<number> {
    const { clients, pipeline, rate, signal } = this.options
    const startedAt = performance.now()
    let started = 0
    const work = async (client: Client): Promise<void> => {
      for (;;) {
        const count = Math.min(pipeline, operations - started)
        if (count <= 0 || signal?.aborted) return
        const due = rate === 0 ? 0 : startedAt + (started / rate) * 1000
        started += count
        if (rate > 0) {
          const early = due - performance.now()
          if (early > 1) await sleep(early)
        }
        // A late one counts from when it was due; timers may also let one go a little early.
        const from = rate === 0 ? performance.now() : Math.min(due, performance.now())
        await client.send(count, (out) => command.write(out, this.key(this.n++ * 7919), this.value, this.n))
        if (client.error !== null) return
        const micros = Math.max(1, Math.round((performance.now() - from) * 1000))
        if (histogram !== null) for (let i = 0; i < count; i++) histogram.recordValue(micros)
      }
    }
    await Promise.all(this.clients.slice(0, clients).map(work))
    this.check(command)
    return performance.now() - startedAt
  }

  private check({ name }: BenchCommand): void {
    const failed = this.clients.find(({ error }) => error !== null)
    if (failed !== undefined)
      throw new MigrateError(
        'FM_BENCHMARK_REFUSED',
        `${this.options.endpoint.label} answered ${name} with: ${failed.error?.slice(0, 160)}`,
        'Leave the command out of --commands, or give the user its rights.',
      )
  }

  close(): void {
    for (const client of this.clients) client.close()
  }
}

/** What an answer may take while keys are removed, ms. */
const REMOVED_WITHIN_MS = 5000

/** Removes what a measurement left. */
export async function removeKeys(endpoint: Endpoint, prefix: string, keyspace: number): Promise<void> {
  const link = await RedisLink.open(endpoint)
  link.patienceMs = Math.min(endpoint.silenceMs, REMOVED_WITHIN_MS)
  try {
    for (let from = 0; from < keyspace; from += 500)
      await link.pipeline((out) => {
        let commands = 0
        for (let n = from; n < Math.min(keyspace, from + 500); n++, commands++)
          out.call('DEL', ...['s', 'h', 'l', 'z', 'x'].map((type) => `${prefix}${n}:${type}`))
        return commands
      })
  } finally {
    link.close()
  }
}
