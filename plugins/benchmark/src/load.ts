import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { ReplyCounter, RespWriter } from '@ferrite-migrate/protocol'
import { RedisLink } from '@ferrite-migrate/redis'
import type { Histogram } from 'hdr-histogram-js'
import type { BenchCommand } from './commands.js'
import { keyName, type MeasuredServer } from './measured-end.js'

export interface LoadOptions {
  /** At least one. Each has its part of the clients and of the keys. */
  readonly servers: readonly MeasuredServer[]
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
  readonly server: MeasuredServer
  private readonly link: RedisLink
  private readonly out = new RespWriter(64 << 10)
  private left = 0
  private wake: (() => void) | null = null
  error: string | null = null

  private constructor(link: RedisLink, server: MeasuredServer) {
    this.server = server
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

  static async open(server: MeasuredServer, signal: AbortSignal | undefined): Promise<Client> {
    const link = await RedisLink.open(server.endpoint, null, undefined, signal)
    link.hurryAfter(signal)
    return new Client(link, server)
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

  /** At least one connection to each server. */
  async open(): Promise<void> {
    const { servers, clients, signal } = this.options
    for (let i = 0; i < Math.max(clients, servers.length); i++)
      this.clients.push(await Client.open(servers[i % servers.length], signal))
  }

  private key({ server }: Client, n: number): string {
    const { prefix, keyspace, servers } = this.options
    return keyName(server, prefix, n, keysOf(keyspace, servers))
  }

  async prepare(command: BenchCommand): Promise<void> {
    const { keyspace, servers } = this.options
    const fill = async (client: Client): Promise<void> => {
      let n = 0
      for (let left = keysOf(keyspace, servers); left > 0 && client.error === null; left -= 500)
        await client.send(Math.min(500, left), (out) => command.prepare(out, this.key(client, n++), this.value))
    }
    await Promise.all(this.clients.slice(0, servers.length).map(fill))
    this.check(command)
  }

  /**
   * Runs `operations` commands; latencies, in microseconds, go into the histogram. With a rate they count from when an
   * operation was due, so that a server that stops is not spared by those that could not be sent meanwhile.
   * @returns how long it took, ms
   */
  async run(command: BenchCommand, operations: number, histogram: Histogram | null): Promise<number> {
    const { pipeline, rate, signal } = this.options
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
        await client.send(count, (out) => command.write(out, this.key(client, this.n++ * 7919), this.value, this.n))
        if (client.error !== null) return
        const micros = Math.max(1, Math.round((performance.now() - from) * 1000))
        if (histogram !== null) for (let i = 0; i < count; i++) histogram.recordValue(micros)
      }
    }
    await Promise.all(this.clients.map(work))
    this.check(command)
    return performance.now() - startedAt
  }

  private check({ name }: BenchCommand): void {
    const failed = this.clients.find(({ error }) => error !== null)
    if (failed !== undefined)
      throw new MigrateError(
        'FM_BENCHMARK_REFUSED',
        `${failed.server.endpoint.label} answered ${name} with: ${failed.error?.slice(0, 160)}`,
        failed.error?.startsWith('MOVED') || failed.error?.startsWith('ASK')
          ? 'Measure a cluster while no slots move.'
          : 'Leave the command out of --commands, or give the user its rights.',
      )
  }

  close(): void {
    for (const client of this.clients) client.close()
  }
}

/** What an answer may take while keys are removed, ms. */
const REMOVED_WITHIN_MS = 5000

/** Removes what a measurement left. */
export async function removeKeys(servers: readonly MeasuredServer[], prefix: string, keyspace: number): Promise<void> {
  const count = keysOf(keyspace, servers)
  for (const server of servers) await removeKeysOf(server, prefix, count)
}

async function removeKeysOf(server: MeasuredServer, prefix: string, count: number): Promise<void> {
  const { endpoint } = server
  const link = await RedisLink.open(endpoint)
  link.patienceMs = Math.min(endpoint.silenceMs, REMOVED_WITHIN_MS)
  try {
    for (let from = 0; from < count; from += 500)
      await link.pipeline((out) => {
        let commands = 0
        for (let n = from; n < Math.min(count, from + 500); n++, commands++)
          out.call('DEL', ...['s', 'h', 'l', 'z', 'x'].map((type) => `${keyName(server, prefix, n, count)}:${type}`))
        return commands
      })
  } finally {
    link.close()
  }
}

/** Keys of each server. */
function keysOf(keyspace: number, servers: readonly MeasuredServer[]): number {
  return Math.ceil(keyspace / servers.length)
}
