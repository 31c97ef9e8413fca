import type { Reply } from '@ferrite-migrate/protocol'
import type { ClusterNode } from './cluster-node.js'
import type { SlotRange } from './cluster-nodes.js'
import { until } from './until.js'

export type SlotMigrationState = 'running' | 'done' | 'failed'

/**
 * A migration of slots that the servers carry out themselves: CLUSTER MIGRATESLOTS of Valkey, which the giver is told, or
 * CLUSTER MIGRATION IMPORT of Redis 8.4 and later, which the receiver is told.
 */
export abstract class SlotMigration {
  /** How the server names it. */
  abstract readonly id: string

  /** What the server says of it now, field by field; empty = it knows it no more. */
  abstract fields(): Promise<ReadonlyMap<string, string>>

  /** @throws ReplyError when it has come to its end */
  abstract cancel(): Promise<void>

  protected abstract read(fields: ReadonlyMap<string, string>): SlotMigrationState

  async status(): Promise<SlotMigrationState> {
    return this.read(await this.fields())
  }

  /** Waits for its end. @throws Error when it failed or was cancelled */
  async done(): Promise<void> {
    await until(async () => (await this.status()) !== 'running', `the slot migration ${this.id} ended`)
    const fields = await this.fields()
    if (this.read(fields) === 'failed')
      throw new Error(`slots did not move: ${[...fields].map(([name, value]) => `${name}=${value}`).join(' ')}`)
  }
}

/** Valkey 9 and later. */
export class ValkeySlotMigration extends SlotMigration {
  readonly id: string
  private readonly from: ClusterNode

  private constructor(id: string, from: ClusterNode) {
    super()
    this.id = id
    this.from = from
  }

  static async start(ranges: readonly SlotRange[], from: ClusterNode, to: ClusterNode): Promise<SlotMigration> {
    const before = new Set((await jobs(from)).map((job) => job.get('name')))
    await from.command('CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...numbers(ranges), 'NODE', to.id)
    const job = (await jobs(from)).find((job) => !before.has(job.get('name')))
    return new ValkeySlotMigration(job?.get('name') ?? '', from)
  }

  async fields(): Promise<ReadonlyMap<string, string>> {
    return (await jobs(this.from)).find((job) => job.get('name') === this.id) ?? new Map()
  }

  async cancel(): Promise<void> {
    await this.from.command('CLUSTER', 'CANCELSLOTMIGRATIONS')
  }

  protected read(fields: ReadonlyMap<string, string>): SlotMigrationState {
    const state = fields.get('state')
    return state === 'success' ? 'done' : state === 'failed' || state === 'cancelled' ? 'failed' : 'running'
  }
}

/** Redis 8.4 and later. */
export class RedisSlotMigration extends SlotMigration {
  readonly id: string
  private readonly from: ClusterNode
  private readonly to: ClusterNode

  private constructor(id: string, from: ClusterNode, to: ClusterNode) {
    super()
    this.id = id
    this.from = from
    this.to = to
  }

  static async start(ranges: readonly SlotRange[], from: ClusterNode, to: ClusterNode): Promise<SlotMigration> {
    const id = String(await to.command('CLUSTER', 'MIGRATION', 'IMPORT', ...numbers(ranges)))
    return new RedisSlotMigration(id, from, to)
  }

  async fields(): Promise<ReadonlyMap<string, string>> {
    const [task] = (await this.to.command('CLUSTER', 'MIGRATION', 'STATUS', 'ID', this.id)) as Reply[]
    return task === undefined ? new Map() : pairs(task)
  }

  async cancel(): Promise<void> {
    await this.to.command('CLUSTER', 'MIGRATION', 'CANCEL', 'ID', this.id)
    // The giver keeps its half as failed, and the slots closed to SETSLOT, until it is told too.
    await this.from.command('CLUSTER', 'MIGRATION', 'CANCEL', 'ID', this.id)
  }

  protected read(fields: ReadonlyMap<string, string>): SlotMigrationState {
    const state = fields.get('state')
    return state === 'completed' ? 'done' : state === 'failed' || state === 'canceled' ? 'failed' : 'running'
  }
}

async function jobs(node: ClusterNode): Promise<Map<string, string>[]> {
  return ((await node.command('CLUSTER', 'GETSLOTMIGRATIONS')) as Reply[]).map(pairs)
}

function numbers(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(({ first, last }) => [first, last])
}

function pairs(reply: Reply): Map<string, string> {
  const map = new Map<string, string>()
  const list = reply as Reply[]
  for (let i = 0; i + 1 < list.length; i += 2) map.set(String(list[i]), String(list[i + 1]))
  return map
}
