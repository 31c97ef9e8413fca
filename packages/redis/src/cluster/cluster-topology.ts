import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import type { Redis, RedisOptions } from 'ioredis'
import { printAddress } from '../address/host-port.js'
import type { MovingServer } from '../address/moving-server.js'
import type { NodeMap } from '../address/node-map.js'
import { connectError, handshakeError, plainError, stoppedError } from '../connect-error.js'
import type { Endpoint } from '../endpoint.js'
import { answersPlainly } from '../plain-probe.js'
import { type ClusterNode, type NodesAnswer, parseNodes } from './cluster-nodes.js'
import { type ClusterShard, type ClusterView, ShardNames, slotRanges, strangers, viewOf } from './cluster-view.js'

/** How often the topology is looked at where nothing tells of a change. */
const LOOK_MS = 1000
/** How long a node may take to answer. */
const ANSWER_MS = 2000
/** A cluster that is replacing a primary in this moment is whole again soon, ms. */
const WHOLE_WITHIN_MS = 6000
const AGAIN_MS = 200
/** Nodes of a large cluster that are asked in turn, besides those that matter, where nothing tells of a change. */
const IN_TURN = 3
/** A cluster of so many nodes is not large. */
const FEW = 12

/** What a topology is read with. */
export interface TopologyNeeds {
  /** Credentials, TLS, times and the label; its host and port are not used. */
  readonly endpoint: Endpoint
  /** Where it is asked first. */
  readonly seeds: readonly Address[]
  readonly nodeMap: NodeMap
  /** As it stands in an option: `--source-option` or `--target-option`. */
  readonly option: string
  /** The shards that matter, as `mind` takes them, from the beginning on; absent = all. */
  readonly near?: readonly string[]
  /** Ends the opening. */
  readonly signal?: AbortSignal
}

/** What came of asking one node. */
type Asked =
  | { readonly address: Address; readonly answer: NodesAnswer }
  | { readonly address: Address; readonly error: MigrateError }

/**
 * Which nodes a cluster has, and which slots each of them. Asked over control connections of ioredis, one a node; data never goes
 * over these. ioredis keeps a table of slots itself, without the ids, epochs and moving slots that a handover needs.
 */
export class ClusterTopology {
  view: ClusterView
  private readonly needs: TopologyNeeds
  private readonly names = new ShardNames()
  private readonly clients = new Map<string, Redis>()
  /** Resolves when a connection has said who it is. */
  private readonly admitted = new WeakMap<Redis, Promise<unknown>>()
  private readonly library: Promise<{ readonly Redis: new (options: RedisOptions) => Redis }>
  /** Why the last connection to a node failed. */
  private readonly failures = new Map<string, Error>()
  private readonly listeners = new Set<(view: ClusterView) => void>()
  private readonly closing = new AbortController()
  private timer: NodeJS.Timeout | null = null
  private looking: Promise<ClusterView> | null = null
  /** What each node said last, as text, by its address. */
  private readonly answers = new Map<string, string>()
  /** Shards whose nodes are looked at each time; null = all. */
  private near: readonly string[] | null
  private turn = 0
  /** What the view was made of. */
  private said = ''

  private constructor(needs: TopologyNeeds) {
    this.needs = needs
    this.near = needs.near ?? null
    this.view = { shards: [], owners: new Int16Array(0), disputed: new Set(), moving: new Map() }
    // Whoever has no cluster does not pay for it.
    this.library = import('ioredis')
  }

  /** How it was named, to print. */
  get label(): string {
    return this.needs.endpoint.label
  }

  /** @throws MigrateError FM_CLUSTER_*, FM_CONNECT_*, FM_AUTH_* */
  static async open(needs: TopologyNeeds): Promise<ClusterTopology> {
    const topology = new ClusterTopology(needs)
    const { signal } = needs
    const { promise: stopped, reject } = Promise.withResolvers<never>()
    const stop = (): void => reject(stoppedError(needs.endpoint.label))
    signal?.addEventListener('abort', stop, { once: true })
    try {
      if (signal?.aborted) throw stoppedError(needs.endpoint.label)
      await Promise.race([topology.untilWhole(), stopped])
      return topology
    } catch (error) {
      topology.close()
      throw error
    } finally {
      signal?.removeEventListener('abort', stop)
      // Nobody waits for it any more.
      stopped.catch(() => undefined)
    }
  }

  private async untilWhole(): Promise<void> {
    const deadline = Date.now() + WHOLE_WITHIN_MS
    for (;;)
      try {
        await this.look()
        return await this.mustBeWhole()
      } catch (error) {
        const again = error instanceof MigrateError && error.retryable && Date.now() < deadline
        if (!again || this.closing.signal.aborted) throw error
        await sleep(AGAIN_MS)
      }
  }

  /** Looks once a second from now on, and tells of each look. */
  follow(listener: (view: ClusterView) => void): () => void {
    this.listeners.add(listener)
    this.timer ??= setInterval(() => void this.glance().catch(() => undefined), LOOK_MS)
    return () => {
      this.listeners.delete(listener)
      if (this.listeners.size > 0 || this.timer === null) return
      clearInterval(this.timer)
      this.timer = null
    }
  }

  /**
   * From now on only these shards and some nodes in turn are looked at, where the cluster is large; where there are none of them, all
   * nodes once one says something new. Of many that look at all of many, every node would be busy, and each would depend on all.
   */
  mind(shards: readonly string[]): void {
    this.near = shards
  }

  /** Whether anything is new, with few questions. */
  private async glance(): Promise<void> {
    const nodes = this.living()
    const rests = this.view.moving.size + this.view.disputed.size === 0
    if (this.near === null || nodes.length <= FEW || !rests || this.looking !== null) {
      await this.look()
      return
    }
    this.turn = (this.turn + IN_TURN) % nodes.length
    const asked = await Promise.all(this.addressesOf(this.chosen(nodes)).map((address) => this.ask(address)))
    if (asked.every((one) => this.isKnown(one))) this.tell()
    else await this.look()
  }

  /** Whether a node says what it said last. One that was never asked agrees: what it knows, those that matter know soon. */
  private isKnown(one: Asked): boolean {
    if (!('answer' in one)) return false
    const name = printAddress(one.address)
    const text = JSON.stringify(one.answer)
    const former = this.answers.get(name)
    if (former === undefined) this.answers.set(name, text)
    return former === undefined || former === text
  }

  /** The nodes that matter, and some in turn. */
  private chosen(nodes: readonly ClusterNode[]): ClusterNode[] {
    const minded = this.view.shards.filter(({ name }) => this.near?.includes(name) === true)
    const chosen = new Set(minded.flatMap(({ primary, replicas }) => [primary, ...replicas]))
    for (let i = 0; i < IN_TURN; i++) chosen.add(nodes[(this.turn + i) % nodes.length])
    return [...chosen]
  }

  /** Whether only a part of the cluster matters here. */
  private isPart(nodes: readonly ClusterNode[]): boolean {
    return nodes.length > FEW && this.view.shards.some(({ name }) => this.near?.includes(name) === true)
  }

  private living(): ClusterNode[] {
    return this.view.shards.flatMap(({ primary, replicas }) => [primary, ...replicas]).filter(({ failed }) => !failed)
  }

  private addressesOf(nodes: readonly ClusterNode[]): Address[] {
    return nodes.flatMap((node) => (node.address === null ? [] : [this.needs.nodeMap.reach(node.address)]))
  }

  private tell(): void {
    for (const listener of this.listeners) listener(this.view)
  }

  /**
   * Asks all nodes that are known; calls at the same time share one look.
   * @throws MigrateError when none answers
   */
  look(): Promise<ClusterView> {
    this.looking ??= this.askAll().finally(() => {
      this.looking = null
    })
    return this.looking
  }

  /** The shard of this name; undefined = it has left the cluster. */
  shard(name: string): ClusterShard | undefined {
    return this.view.shards.find((shard) => shard.name === name)
  }

  /** The shard that has a slot; undefined = none. */
  ownerOf(slot: number): ClusterShard | undefined {
    return this.view.shards[this.view.owners[slot]]
  }

  /**
   * Where a node is reached.
   * @throws MigrateError FM_CLUSTER_NODE when it has announced no address
   */
  addressOf(node: ClusterNode): Address {
    if (node.address === null)
      throw new MigrateError(
        'FM_CLUSTER_NODE',
        `the cluster node ${node.id} has announced no address`,
        'Look at CLUSTER NODES; it may have just joined.',
        { retryable: true },
      )
    return this.needs.nodeMap.reach(node.address)
  }

  /** Connections to the primary of a shard, whichever node that is by then. */
  primaryOf(name: string): Endpoint {
    const { endpoint } = this.needs
    const known = this.shard(name)?.primary
    const at = known === undefined ? this.needs.seeds[0] : this.addressOf(known)
    return {
      ...endpoint,
      ...at,
      label: `${endpoint.label.replace(/:\/\/.*$/s, '')}://${printAddress(at)}`,
      moving: this.movingOf(name),
      locate: async () => {
        await this.look()
        const shard = this.shard(name)
        if (shard === undefined)
          throw new MigrateError(
            'FM_CLUSTER_SHARD',
            `the cluster has no shard ${name.slice(0, 8)} any more`,
            'Its slots have gone to other nodes: go on with --resume.',
            { retryable: true },
          )
        return this.addressOf(shard.primary)
      },
    }
  }

  /** Tells connections to a shard when another node is its primary. */
  private movingOf(name: string): MovingServer {
    let moves = 0
    let last: string | null = null
    const address = (view: ClusterView): Address | null => {
      const node = view.shards.find((shard) => shard.name === name)?.primary
      return node === undefined || node.address === null ? null : this.addressOf(node)
    }
    return {
      moved: (listener) =>
        this.follow((view) => {
          const now = address(view)
          if (now === null) return
          const text = printAddress(now)
          if (last !== null && last !== text) moves++
          last = text
          listener(now)
        }),
      doubt: () => void this.look().catch(() => undefined),
      advice: (at) =>
        `If it is reached at another address (NAT, containers), add ${this.needs.option} node-map=${printAddress(at)}=HOST:PORT.`,
      get moves() {
        return moves
      },
      close: () => undefined,
    }
  }

  /**
   * One control command at a node. Replies are as ioredis gives them: texts, numbers, lists.
   * @throws MigrateError
   */
  async call(address: Address, ...argv: readonly [string, ...string[]]): Promise<unknown> {
    const [name, ...rest] = argv
    try {
      const client = await this.client(address)
      await this.admitted.get(client)
      return await client.call(name, ...rest)
    } catch (error) {
      throw await this.meaning(address, error)
    }
  }

  close(): void {
    this.closing.abort()
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
    this.listeners.clear()
    for (const client of this.clients.values()) client.disconnect()
    this.clients.clear()
  }

  private async askAll(): Promise<ClusterView> {
    const living = this.living()
    const part = this.isPart(living)
    const nodes = part ? this.chosen(living) : living
    let asked = await Promise.all(this.addressesOf(nodes).map((address) => this.ask(address)))
    // In the beginning, and when all that were known are gone.
    if (!asked.some((one) => 'answer' in one)) asked = await Promise.all(this.needs.seeds.map((seed) => this.ask(seed)))
    const answers = asked.flatMap((one) => ('answer' in one ? [one.answer] : []))
    const texts = new Map(answers.map((answer) => [answer, JSON.stringify(answer)]))
    if (!part) this.answers.clear()
    for (const one of asked)
      if ('answer' in one) this.answers.set(printAddress(one.address), texts.get(one.answer) ?? '')
    const [failure] = asked.flatMap((one) => ('error' in one ? [one.error] : []))
    if (answers.length === 0) throw failure
    const primaries = answers.filter(({ self, nodes }) =>
      nodes.some(({ id, role }) => id === self && role === 'primary'),
    )
    const first = this.view.shards.length === 0
    if (first) this.mustBeOne(asked)
    const counted = primaries.length === 0 ? answers : primaries
    // Nearly every look finds what the last one found.
    const said = counted.map((answer) => texts.get(answer)).join('\n')
    if (said !== this.said) this.view = viewOf(counted, this.names)
    this.said = said
    // A seed knows the others; what they say of themselves counts.
    if (first && !this.closing.signal.aborted) return this.askAll()
    this.tell()
    return this.view
  }

  /** Nodes that were named together must know each other, or the keys of one cluster would stand for those of another. */
  private mustBeOne(asked: readonly Asked[]): void {
    const others = strangers(asked.flatMap((one) => ('answer' in one ? [one.answer] : [])))
    if (others === null) return
    const addressOf = (self: string): string =>
      asked.flatMap((one) => ('answer' in one && one.answer.self === self ? [printAddress(one.address)] : []))[0] ??
      self
    throw new MigrateError(
      'FM_CLUSTER_SEVERAL',
      `${addressOf(others[0])} and ${addressOf(others[1])} are not of one cluster: neither knows the other`,
      'Name nodes of one cluster only.',
    )
  }

  private async ask(address: Address): Promise<Asked> {
    try {
      const text = await this.call(address, 'CLUSTER', 'NODES')
      return { address, answer: parseNodes(String(text), address) }
    } catch (error) {
      if (error instanceof MigrateError) return { address, error }
      throw error
    }
  }

  /** Every slot has an owner, and every owner that matters answers. @throws MigrateError FM_CLUSTER_DOWN, FM_CLUSTER_NODE */
  private async mustBeWhole(): Promise<void> {
    const { view, needs } = this
    const bare = [...view.owners.keys()].filter((slot) => view.owners[slot] < 0)
    if (bare.length > 0)
      throw new MigrateError(
        'FM_CLUSTER_DOWN',
        `${bare.length} slots of the cluster at ${needs.endpoint.label} have no owner: ${slotRanges(bare).slice(0, 100)}`,
        'Give them to a node (redis-cli --cluster fix), then start again.',
      )
    const part = this.isPart(this.living())
    for (const { name, primary } of view.shards) {
      if (part && this.near?.includes(name) !== true) continue
      const asked = await this.ask(this.addressOf(primary))
      if ('error' in asked) throw this.away(primary, asked.error)
      if (asked.answer.self !== primary.id) throw this.another(primary, asked.address, asked.answer)
      const info = String(await this.call(this.addressOf(primary), 'CLUSTER', 'INFO'))
      if (/^cluster_state:fail/m.test(info))
        throw new MigrateError(
          'FM_CLUSTER_DOWN',
          `the cluster is in state fail, says ${printAddress(asked.address)}${failedNodes(asked.answer.nodes)}`,
          'Bring back what is missing (CLUSTER NODES shows it), and start again when cluster_state is ok.',
          { retryable: true },
        )
    }
  }

  /** Whoever would be read there instead of the node has other keys. */
  private another(node: ClusterNode, at: Address, { self, nodes }: NodesAnswer): MigrateError {
    const { nodeMap, option } = this.needs
    const announced = node.address === null ? node.id : printAddress(node.address)
    const found = nodes.find(({ id }) => id === self)?.address ?? null
    const mapped = node.address !== null && nodeMap.has(node.address)
    return new MigrateError(
      'FM_CLUSTER_NODE',
      `${mapped ? `node-map says that ${announced} is at ${printAddress(at)}, and there` : `at ${printAddress(at)}, where ${announced} should be,`} is another node${found === null ? '' : `: ${printAddress(found)}`}`,
      mapped
        ? `Correct ${option} node-map=${announced}=…`
        : `Where nodes announce addresses that lead elsewhere from here (NAT, containers), say where each is: ${option} node-map=${announced}=HOST:PORT.`,
    )
  }

  private away(node: ClusterNode, cause: MigrateError): MigrateError {
    const { nodeMap, option } = this.needs
    if (node.address === null || !cause.code.startsWith('FM_CONNECT_')) return cause
    const announced = printAddress(node.address)
    if (nodeMap.has(node.address))
      return new MigrateError(
        'FM_CLUSTER_NODE',
        `the node that announces ${announced} cannot be reached where node-map says it is: ${cause.message}`,
        `Correct ${option} node-map=${announced}=${printAddress(nodeMap.reach(node.address))}, or see that the node runs.`,
        { retryable: true, cause },
      )
    return new MigrateError(
      'FM_CLUSTER_NODE',
      `the node that announces ${announced} cannot be reached from here: ${cause.message}`,
      `If it is reached at another address (NAT, containers), add ${option} node-map=${announced}=HOST:PORT, several with commas between.`,
      { retryable: true, cause },
    )
  }

  private async client(address: Address): Promise<Redis> {
    const { Redis } = await this.library
    const name = printAddress(address)
    const former = this.clients.get(name)
    if (former !== undefined && former.status !== 'end') return former
    const { username, password, tls, connectTimeoutMs, clientName } = this.needs.endpoint
    const client = new Redis({
      ...address,
      ...(tls === undefined ? {} : { tls }),
      // Nobody who has to say who he is may say it before.
      ...(clientName === undefined || password !== undefined ? {} : { connectionName: clientName }),
      protocol: 2,
      connectTimeout: Math.min(connectTimeoutMs, ANSWER_MS),
      commandTimeout: ANSWER_MS,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      // The next look makes a new one.
      retryStrategy: () => null,
    })
    // What a command fails with says only that there is no connection.
    client.on('error', (error) => this.failures.set(name, error))
    client.on('ready', () => this.failures.delete(name))
    this.clients.set(name, client)
    if (password !== undefined) {
      // By ioredis it would go to the console when a node wants no password.
      const asked = client.call('AUTH', ...(username === undefined ? [password] : [username, password]))
      if (clientName !== undefined) client.call('CLIENT', 'SETNAME', clientName).catch(() => undefined)
      asked.catch(() => undefined)
      this.admitted.set(client, asked)
    }
    return client
  }

  /** What an error of a control connection means. */
  private async meaning(address: Address, cause: unknown): Promise<MigrateError> {
    const { endpoint } = this.needs
    const label = `${endpoint.label.replace(/:\/\/.*$/s, '')}://${printAddress(address)}`
    const at = { ...endpoint, ...address, label }
    const failure = /Connection is closed|max retries/i.test((cause as Error).message)
      ? this.failures.get(printAddress(address))
      : undefined
    const { message, name } = failure ?? (cause as Error)
    if (/cluster support disabled/.test(message))
      return new MigrateError(
        'FM_CLUSTER_NONE',
        `${label} is a server without cluster support`,
        'Give it as redis:// (or ferrite://), without cluster.',
      )
    if (name === 'ReplyError') return handshakeError(at, message)
    if (endpoint.tls !== undefined && (await answersPlainly(address.host, address.port))) return plainError(label)
    if (/Command timed out/.test(message))
      return new MigrateError('FM_CONNECT_TIMEOUT', `${label} does not answer`, 'Check that the node is alive.', {
        retryable: true,
        cause,
      })
    return connectError(at, failure ?? cause)
  }
}

/** What the node itself sees as failed, for the sentence; empty where it names none. */
function failedNodes(nodes: readonly ClusterNode[]): string {
  const failed = nodes.filter((node) => node.failed)
  if (failed.length === 0) return ''
  const names = failed.map(({ id, address }) => (address === null ? id.slice(0, 8) : printAddress(address)))
  return `: it cannot reach ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
}
