import { randomBytes } from 'node:crypto'
import { ReplyError } from '@ferrite-migrate/protocol'
import { lastingPort } from './ports.js'
import { Sentinel, type SentinelPlace } from './sentinel.js'
import { credentials, TestNode } from './test-node.js'
import { until } from './until.js'
import { anyServer, findServer, type ServerVersion } from './versions.js'

export interface SentinelGroupOptions {
  /** Default: any that can be had, redis-server on PATH first. */
  readonly version?: ServerVersion
  /** What the sentinels call the primary. Default `main`. */
  readonly name?: string
  /** Of the primary and the replica. Sentinels write it into their configuration as it is: no spaces, no quotes. */
  readonly password?: string
  /** Of the sentinels, and between them; likewise. */
  readonly sentinelPassword?: string
  /** Arguments of primary and replica, such as ['--repl-backlog-size', '64mb']. */
  readonly args?: readonly string[]
  /** Keep data over a restart: append-only file. */
  readonly persistent?: boolean
}

const SENTINELS = 3
const QUORUM = 2
const ATTEMPTS = 3
/** A failover that was taken and has not come so long afterwards never comes, ms: several times its timeout. */
const GIVEN_UP_MS = 20_000

/** A primary, a replica and three sentinels on loopback. Stop it: nothing else ends its servers. */
export class SentinelGroup {
  readonly name: string
  /** The two servers with data, dead ones among them. */
  readonly nodes: readonly TestNode[]
  readonly sentinels: readonly Sentinel[]
  private readonly password: string | undefined
  private readonly sentinelPassword: string | undefined

  private constructor(
    name: string,
    nodes: readonly TestNode[],
    sentinels: readonly Sentinel[],
    options: SentinelGroupOptions,
  ) {
    this.name = name
    this.nodes = nodes
    this.sentinels = sentinels
    this.password = options.password
    this.sentinelPassword = options.sentinelPassword
  }

  /** Starts a group and waits until all agree. @throws Error when the version cannot be had or does not start */
  static async start(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
    const found = options.version === undefined ? await anyServer() : await findServer(options.version)
    if (!('program' in found)) throw new Error(`${found.version}: ${found.reason}`)
    const { name = 'main', password, args = [], persistent = false } = options
    const settings = { version: found.version, password, persistent }
    const primary = await TestNode.start({ ...settings, args })
    const nodes = [primary]
    try {
      const follow = ['--replicaof', '127.0.0.1', String(primary.port)]
      const replica = await TestNode.start({ ...settings, args: [...args, ...follow] })
      nodes.push(replica)
      const watched = { name, primary: primary.port, replica: replica.port, password, quorum: QUORUM }
      const sentinels = await startSentinels((place, others) => {
        return new Sentinel(found.program, place, others, watched, options.sentinelPassword)
      })
      const group = new SentinelGroup(name, nodes, sentinels, options)
      await group.waitUntilOk().catch(async (error) => {
        await stopAll(sentinels)
        throw error
      })
      return group
    } catch (error) {
      await stopAll(nodes)
      throw error
    }
  }

  /** With the credentials of the primary; those of the sentinels go apart. */
  get url(): string {
    const hosts = this.sentinels.filter(({ alive }) => alive).map(({ port }) => `127.0.0.1:${port}`)
    return `redis-sentinel://${credentials(this.password)}${hosts.join(',')}/${this.name}`
  }

  /** Password of the sentinels; undefined = they have none. */
  get sentinelAuth(): string | undefined {
    return this.sentinelPassword
  }

  /** The node that the sentinels name. @throws Error when none of them lives or it is none of ours */
  async primary(): Promise<TestNode> {
    const sentinel = this.sentinels.find(({ alive }) => alive)
    const port = await sentinel?.primaryPort(this.name)
    const node = this.nodes.find((one) => one.port === port)
    if (node === undefined) throw new Error(`no sentinel knows ${this.name}`)
    return node
  }

  /** SENTINEL FAILOVER, and waits until all agree on the other one. */
  async failover(): Promise<void> {
    const before = await this.primary()
    let takenAt = Number.NEGATIVE_INFINITY
    await until(async () => {
      if ((await this.primary()) !== before) return true
      // One that was taken and ends just now must not be followed by a second one, which would bring the former primary back.
      if (Date.now() - takenAt < GIVEN_UP_MS) return false
      // Refused while one is under way, and for as long as the replica is new to the sentinel.
      await this.sentinels
        .find(({ alive }) => alive)
        ?.command('SENTINEL', 'FAILOVER', this.name)
        .then(() => {
          takenAt = Date.now()
        }, tolerated)
      return false
    }, 'another primary')
    await this.waitUntilOk()
  }

  /** kill -9 of a server or a sentinel. */
  async kill(one: TestNode | Sentinel): Promise<void> {
    await one.kill()
  }

  /** Starts a dead one again; a server follows the primary at once, as the configuration that sentinels rewrite would say. */
  async restart(one: TestNode | Sentinel): Promise<void> {
    if (one instanceof Sentinel) return one.launch()
    await one.restart()
    const primary = await this.primary()
    if (primary !== one) await one.command('REPLICAOF', '127.0.0.1', primary.port)
  }

  /** Waits until the living sentinels name the same living primary, and the other server follows it if it lives. */
  async waitUntilOk(): Promise<void> {
    await until(() => this.agreed().catch(() => false), `the sentinels of ${this.name} agreed`)
  }

  async stop(): Promise<void> {
    await stopAll([...this.sentinels, ...this.nodes])
  }

  private async agreed(): Promise<boolean> {
    const living = this.sentinels.filter(({ alive }) => alive)
    const ports = new Set(await Promise.all(living.map((sentinel) => sentinel.primaryPort(this.name))))
    const primary = await this.primary()
    if (ports.size !== 1 || !primary.alive || (await primary.role()) !== 'master') return false
    for (const node of this.nodes)
      if (node.alive && node !== primary && !(await node.follows(primary.port))) return false
    return true
  }
}

function tolerated(error: unknown): void {
  if (!(error instanceof ReplyError) || !/^(INPROG|NOGOODSLAVE)/.test(error.message)) throw error
}

async function startSentinels(
  make: (place: SentinelPlace, others: readonly SentinelPlace[]) => Sentinel,
): Promise<Sentinel[]> {
  for (let attempt = 1; ; attempt++) {
    const places: SentinelPlace[] = []
    while (places.length < SENTINELS) places.push({ port: await lastingPort(), id: randomBytes(20).toString('hex') })
    const sentinels = places.map((place) =>
      make(
        place,
        places.filter((other) => other !== place),
      ),
    )
    const launched = await Promise.allSettled(sentinels.map((sentinel) => sentinel.launch()))
    const failed = launched.find((one) => one.status === 'rejected')
    if (failed === undefined) return sentinels
    await stopAll(sentinels)
    if (attempt === ATTEMPTS) throw failed.reason
  }
}

async function stopAll(some: readonly { stop(): Promise<void> }[]): Promise<void> {
  await Promise.all(some.map((one) => one.stop()))
}
