import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangeBatch,
  type Checkpoint,
  type DirtyKey,
  MigrateError,
  PackedRecord,
  type SnapshotBatch,
  type SnapshotRecord,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { keySlot, ReplyError } from '@ferrite-migrate/protocol'
import { Lane } from '../lane.js'
import type { LaneOptions } from '../lane-options.js'
import type { LaneTools } from '../lane-tools.js'
import { refusalError } from '../target-error.js'
import { type Moved, WriteTally } from '../write-tally.js'
import { ClusterChanges } from './cluster-changes.js'
import { GroupWrites } from './group-writes.js'
import { mustPass, RoutedCommands } from './routed-commands.js'
import type { SlotCheckpoints } from './slot-checkpoints.js'
import { lostNode } from './target-node.js'
import type { TargetNodes, Way } from './target-nodes.js'

const FIRST_WAIT_MS = 10
const LONGEST_WAIT_MS = 500
/** Whoever stops does not wait longer for a slot on its way. */
const STOPPING_MS = 3000

/** What a lane needs from the cluster that it writes to. */
export interface ClusterLaneNeeds {
  readonly nodes: TargetNodes
  readonly retryMs: number
  readonly signal: AbortSignal
  readonly clientName: string | undefined
  /** For a connection to one node. */
  optionsOf(way: Way): LaneOptions
}

function slotOf(record: SnapshotRecord): number {
  return record instanceof PackedRecord ? keySlot(record.keyData, record.keyStart, record.keyEnd) : keySlot(record.key)
}

/** One ordered way to a cluster: a connection to each node, so that a key always goes through the same one. */
export class ClusterLane {
  private readonly needs: ClusterLaneNeeds
  private readonly lanes = new Map<string, Lane>()
  private readonly changes: ClusterChanges
  /** Batches of changes wait for each other here. */
  private turn: Promise<unknown> = Promise.resolve()
  private failure: unknown = null
  private readonly closing = new AbortController()
  private readonly commands: RoutedCommands

  constructor(needs: ClusterLaneNeeds) {
    this.needs = needs
    this.commands = new RoutedCommands(needs.nodes, needs.retryMs, needs.clientName, this.closing.signal)
    const groups = new GroupWrites(needs.nodes, (way) => this.lane(way).tools, needs.retryMs)
    this.changes = new ClusterChanges(needs.nodes, groups, needs.clientName)
  }

  /** @param checkpoints null = the changes have no place that is kept */
  async write(
    batch: SnapshotBatch | ChangeBatch,
    checkpoint: Checkpoint | undefined,
    checkpoints: SlotCheckpoints | null,
  ): Promise<WriteResult> {
    try {
      if (batch.kind === 'snapshot') return await this.snapshot(batch)
      const former = this.turn
      const own = Promise.withResolvers<void>()
      this.turn = own.promise
      try {
        await former
        // What waited behind a batch that failed must not be written: its checkpoints would cover what is missing.
        if (this.failure !== null) throw this.failure
        return await this.changes.write(batch, checkpoint, checkpoints)
      } finally {
        own.resolve()
      }
    } catch (error) {
      this.failure ??= error
      throw error
    }
  }

  /** Resolves when no batch of changes is under way, whatever came of it. */
  async idle(): Promise<void> {
    await this.turn
  }

  /** Nothing goes out any more, also of what still waits for a slot on its way. */
  close(): void {
    this.closing.abort()
    for (const lane of this.lanes.values()) lane.close()
  }

  private lane(way: Way): Lane {
    if (this.closing.signal.aborted) throw lostNode(`${this.needs.nodes.label} is looked at anew`)
    const name = `${way.asking} ${way.node.id}`
    let lane = this.lanes.get(name)
    if (lane === undefined) {
      lane = new Lane(this.needs.optionsOf(way), (key, text, since) => this.redirect(key, text, since))
      this.lanes.set(name, lane)
    }
    return lane
  }

  /** Records go to the nodes that have their slots; what was at another by then goes again, and only that. */
  private async snapshot({ lane, records, deletes, onConflict }: SnapshotBatch): Promise<WriteResult> {
    const startedAt = Date.now()
    const tally = new WriteTally()
    if (deletes !== undefined && deletes.length > 0) await this.delete(deletes, tally)
    const words = new Map<SnapshotRecord, string>()
    let left = records
    for (let wait = FIRST_WAIT_MS; left.length > 0; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const moved: Moved[] = []
      const parts = this.byWay(left, words, moved)
      const results = await Promise.allSettled(
        parts.map(({ way, records }) => this.lane(way).write({ kind: 'snapshot', lane, records, onConflict })),
      )
      const losses: unknown[] = []
      for (const result of results) {
        if (result.status === 'rejected') losses.push(result.reason)
        else {
          tally.add(result.value)
          moved.push(...result.value.moved)
        }
      }
      if (losses.length > 0)
        throw losses.find((one) => one instanceof MigrateError && one.code === 'FM_TARGET_LOST') ?? losses[0]
      left = moved.map(({ record }) => record)
      if (left.length === 0) break
      for (const { record, text } of moved) words.set(record, text)
      this.mustWait(moved[0].text, startedAt)
      await sleep(wait)
      await this.needs.nodes.look().catch((error) => mustPass(error))
    }
    return tally
  }

  private byWay(
    records: readonly SnapshotRecord[],
    words: ReadonlyMap<SnapshotRecord, string>,
    moved: Moved[],
  ): { readonly way: Way; readonly records: SnapshotRecord[] }[] {
    type Part = { readonly way: Way; readonly records: SnapshotRecord[] }
    // The owner's place is enough for nearly all: a way is made once for each.
    const byOwner: (Part | undefined)[] = []
    const asking = new Map<string, Part>()
    const { nodes } = this.needs
    const { owners } = nodes.topology.view
    for (const record of records) {
      const slot = slotOf(record)
      const text = words.size === 0 ? '' : (words.get(record) ?? '')
      const known = text === '' ? byOwner[owners[slot]] : undefined
      if (known !== undefined) {
        known.records.push(record)
        continue
      }
      try {
        const way = nodes.wayAfter(slot, text)
        const part = way.asking ? asking.get(way.node.id) : byOwner[owners[slot]]
        if (part !== undefined) part.records.push(record)
        else if (way.asking) asking.set(way.node.id, { way, records: [record] })
        else byOwner[owners[slot]] = { way, records: [record] }
      } catch (error) {
        moved.push({ record, text: `CLUSTERDOWN ${(mustPass(error) as MigrateError).message}` })
      }
    }
    return [...byOwner, ...asking.values()].filter((part) => part !== undefined)
  }

  private async delete(keys: readonly DirtyKey[], tally: WriteTally): Promise<void> {
    const { nodes } = this.needs
    for (const reply of await this.commands.all(keys.map(({ key }) => ({ slot: keySlot(key), argv: ['DEL', key] }))))
      if (reply instanceof ReplyError) throw refusalError(nodes.endpoint, reply.message)
    tally.deleted += keys.length
  }

  /** Where the next slice of a value goes; the part that is there has gone with its slot. */
  private async redirect(key: Buffer, text: string, since: number): Promise<LaneTools> {
    this.mustWait(text, since)
    await sleep(FIRST_WAIT_MS)
    await this.needs.nodes.look()
    return this.lane(this.needs.nodes.wayAfter(keySlot(key), text)).tools
  }

  private mustWait(text: string, since: number): void {
    const { retryMs, signal, nodes } = this.needs
    if (Date.now() - since > (signal.aborted ? Math.min(retryMs, STOPPING_MS) : retryMs))
      throw refusalError(nodes.endpoint, text)
  }
}
