import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeRecord, MigrateError, PackedChange } from '@ferrite-migrate/contracts'
import type { RespWriter } from '@ferrite-migrate/protocol'
import type { Endpoint } from '@ferrite-migrate/redis'
import type { Flight } from '../lane-connection.js'
import type { LaneTools } from '../lane-tools.js'
import { classify, isRedirect, notExecutedError, patienceMs, refusalError } from '../target-error.js'
import { mustPass } from './routed-commands.js'
import type { SlotCheckpoints } from './slot-checkpoints.js'
import type { SlotGroup } from './slot-groups.js'
import type { TargetNodes, Way } from './target-nodes.js'

const MULTI = Buffer.from('*1\r\n$5\r\nMULTI\r\n')
const EXEC = Buffer.from('*1\r\n$4\r\nEXEC\r\n')
const FIRST_WAIT_MS = 10
const LONGEST_WAIT_MS = 500

/** Gives a node's connection of one lane. */
export type ToolsOf = (way: Way) => LaneTools

export interface GroupTally {
  byteLength: number
  fail(record: ChangeRecord, reason: string): void
}

/** A group on its way, and where its replies are among those of its flight. */
interface Sent {
  readonly group: SlotGroup
  readonly first: number
  readonly replies: number
  /** Without a transaction around it. */
  readonly bare: boolean
}

/** What a node has answered to a group that it has not taken. */
interface Refused {
  readonly group: SlotGroup
  readonly text: string
}

/** Writes groups of changes, each in one transaction with the checkpoint of its slot, until every one is done. */
export class GroupWrites {
  private readonly nodes: TargetNodes
  private readonly toolsOf: ToolsOf
  private readonly retryMs: number

  constructor(nodes: TargetNodes, toolsOf: ToolsOf, retryMs: number) {
    this.nodes = nodes
    this.toolsOf = toolsOf
    this.retryMs = retryMs
  }

  /**
   * Groups go to all nodes at once, each slot's only once at a time. What a node refuses because the slot is elsewhere, or because it
   * takes nothing now, was not done: it goes again.
   * @param checkpoints null = these changes have none
   * @throws MigrateError FM_TARGET_LOST when nobody knows what was done; and what a slot is refused for
   */
  async write(groups: readonly SlotGroup[], checkpoints: SlotCheckpoints | null, tally: GroupTally): Promise<void> {
    const startedAt = Date.now()
    const words = new Map<SlotGroup, string>()
    let left = groups
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const refused: Refused[] = []
      const ways = this.byWay(left, words, refused)
      const results = await Promise.allSettled(
        ways.map(({ way, groups }) => this.send(way, groups, words, checkpoints, tally, refused)),
      )
      const losses = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
      if (losses.length > 0)
        throw losses.find((one) => one instanceof MigrateError && one.code === 'FM_TARGET_LOST') ?? losses[0]
      left = refused.map(({ group }) => group).filter(({ records }) => records.length > 0)
      if (left.length === 0) return
      for (const { group, text } of refused) {
        words.set(group, text)
        const patience = isRedirect(text) ? this.retryMs : patienceMs(classify(text), this.retryMs)
        if (text !== '' && Date.now() - startedAt > patience) throw refusalError(this.nodes.endpoint, text)
      }
      await sleep(wait)
      await this.nodes.look().catch((error) => mustPass(error))
    }
  }

  private byWay(
    groups: readonly SlotGroup[],
    words: ReadonlyMap<SlotGroup, string>,
    refused: Refused[],
  ): { readonly way: Way; readonly groups: SlotGroup[] }[] {
    const ways = new Map<string, { readonly way: Way; readonly groups: SlotGroup[] }>()
    for (const group of groups) {
      let way: Way
      try {
        way = this.nodes.wayAfter(group.slot, words.get(group) ?? '')
      } catch (error) {
        const { message } = mustPass(error) as MigrateError
        refused.push({ group, text: `CLUSTERDOWN ${message}` })
        continue
      }
      const name = `${way.asking} ${way.node.id}`
      const some = ways.get(name)
      if (some === undefined) ways.set(name, { way, groups: [group] })
      else some.groups.push(group)
    }
    return [...ways.values()]
  }

  private async send(
    way: Way,
    groups: readonly SlotGroup[],
    words: ReadonlyMap<SlotGroup, string>,
    checkpoints: SlotCheckpoints | null,
    tally: GroupTally,
    refused: Refused[],
  ): Promise<void> {
    const { connection, losses, options } = this.toolsOf(way)
    const link = await connection.connect()
    const { out } = connection
    const sent: Sent[] = []
    let first = 0
    for (const group of groups) {
      // What was refused is done whole where its keys are, or not at all: some of them may be at another node than the rest.
      const bare = group.overwrites && !words.has(group)
      const replies = bare ? renderBare(out, group) : render(out, group, checkpoints)
      sent.push({ group, first, replies, bare })
      first += replies
    }
    tally.byteLength += out.at
    const flight = await connection.fly(link, first).catch((error: unknown) => {
      throw losses.ofChanges(error)
    })
    this.settle(sent, flight, checkpoints, options.endpoint, tally, refused)
  }

  private settle(
    sent: readonly Sent[],
    flight: Flight,
    checkpoints: SlotCheckpoints | null,
    endpoint: Endpoint,
    tally: GroupTally,
    refused: Refused[],
  ): void {
    let next = 0
    const { errors } = flight
    for (const { group, first, replies, bare } of sent) {
      const end = first + replies
      const from = next
      while (next < errors.length && errors[next].index < end) next++
      const own = errors.slice(from, next)
      const outside = own.find(({ inner }) => inner < 0)
      if (outside !== undefined) {
        const { text } = outside
        const kind = classify(text)
        if (!isRedirect(text) && kind === 'fatal') throw refusalError(endpoint, text)
        // A command that this server does not have, or not in this form: its keys are read again instead.
        if (!isRedirect(text) && kind !== 'passing' && kind !== 'full') {
          const index = outside.index - first - (bare ? 0 : 1)
          // The transaction itself: nothing that is read again would help.
          if (index < 0) throw refusalError(endpoint, text)
          const [record] = group.records.splice(index, 1)
          if (record === undefined) throw refusalError(endpoint, text)
          tally.fail(record, text)
          refused.push({ group, text: '' })
        } else refused.push({ group, text })
        continue
      }
      if (bare) continue
      if (flight.sizes?.get(end - 1) !== replies - 2) throw notExecutedError(endpoint.label)
      for (const { inner, text } of own) {
        const record = group.records[inner]
        // What is ours inside the transaction is the checkpoint: nothing may be built upon a failure of it.
        if (record === undefined) throw refusalError(endpoint, text)
        tally.fail(record, text)
      }
      if (group.at !== undefined) checkpoints?.did(group.slot, group.at)
    }
  }
}

/** Appends the commands alone; gives the number of replies. */
function renderBare(out: RespWriter, { records }: SlotGroup): number {
  for (const record of records) {
    if (record instanceof PackedChange) out.raw(record.data, record.start, record.end)
    else out.raw(record.resp)
  }
  return records.length
}

/** Appends one transaction; gives the number of replies. */
function render(out: RespWriter, group: SlotGroup, checkpoints: SlotCheckpoints | null): number {
  const { slot, records, at } = group
  out.raw(MULTI)
  renderBare(out, group)
  const marked = checkpoints !== null && at !== undefined
  if (marked) {
    out.raw(checkpoints.head(slot))
    out.integer(at)
  }
  out.raw(EXEC)
  return records.length + (marked ? 3 : 2)
}
