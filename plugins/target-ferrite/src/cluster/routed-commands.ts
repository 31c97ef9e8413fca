import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { isRedirect, refusalError } from '../target-error.js'
import { lostNode } from './target-node.js'
import type { TargetNodes, Way } from './target-nodes.js'

/** A command that may be done twice, and the slot of its keys. */
export interface RoutedCommand {
  readonly slot: number
  readonly argv: readonly (Buffer | string | number)[]
}

const FIRST_WAIT_MS = 20
const LONGEST_WAIT_MS = 500

/** Sends commands whose replies are looked at to the nodes that have their slots, until each has its answer. */
export class RoutedCommands {
  private readonly nodes: TargetNodes
  private readonly patienceMs: number
  private readonly clientName: string | undefined
  private readonly signal: AbortSignal | undefined

  /**
   * @param clientName of the connections; absent = those that nobody ends
   * @param signal aborted: nothing is sent any more
   */
  constructor(nodes: TargetNodes, patienceMs: number, clientName?: string, signal?: AbortSignal) {
    this.nodes = nodes
    this.patienceMs = patienceMs
    this.clientName = clientName
    this.signal = signal
  }

  /** @throws MigrateError what an error reply means */
  async one(slot: number, ...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    const [reply] = await this.all([{ slot, argv }])
    if (reply instanceof ReplyError) throw refusalError(this.nodes.endpoint, reply.message)
    return reply
  }

  /**
   * Error replies are values, but for those that tell of another node.
   * @throws MigrateError FM_TARGET_LOST, and what keeps a slot from being served for too long
   */
  async all(commands: readonly RoutedCommand[]): Promise<Reply[]> {
    const replies = new Array<Reply>(commands.length)
    const words = new Map<number, string>()
    let left = commands.map((_, index) => index)
    const deadline = Date.now() + this.patienceMs
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      if (this.signal?.aborted) throw lostNode(`${this.nodes.label} is looked at anew`)
      let failure: unknown = null
      const ways = new Map<string, { readonly way: Way; readonly indexes: number[] }>()
      const again: number[] = []
      for (const index of left) {
        const { slot } = commands[index]
        try {
          const way = this.nodes.wayAfter(slot, words.get(index) ?? '')
          const name = `${way.asking} ${way.node.id}`
          const some = ways.get(name)
          if (some === undefined) ways.set(name, { way, indexes: [index] })
          else some.indexes.push(index)
        } catch (error) {
          failure = mustPass(error)
          again.push(index)
        }
      }
      await Promise.all(
        [...ways.values()].map(async ({ way, indexes }) => {
          try {
            const got = await this.ask(way, indexes, commands)
            for (const [i, index] of indexes.entries()) {
              const reply = got[i]
              replies[index] = reply
              if (!(reply instanceof ReplyError) || !isRedirect(reply.message)) continue
              words.set(index, reply.message)
              failure = refusalError(way.node.endpoint, reply.message)
              again.push(index)
            }
          } catch (error) {
            await this.nodes.stillThere(way.node)
            failure = mustPass(error)
            for (const index of indexes) again.push(index)
          }
        }),
      )
      left = again
      if (left.length === 0) return replies
      if (Date.now() > deadline) throw failure
      await sleep(wait)
      await this.nodes.look().catch(() => undefined)
    }
  }

  private async ask(
    { node, asking }: Way,
    indexes: readonly number[],
    commands: readonly RoutedCommand[],
  ): Promise<Reply[]> {
    const link = await node.link(this.clientName)
    const replies = await link.pipeline((out) => {
      for (const index of indexes) {
        if (asking) out.call('ASKING')
        out.call(...commands[index].argv)
      }
      return indexes.length * (asking ? 2 : 1)
    })
    return asking ? replies.filter((_, i) => i % 2 === 1) : replies
  }
}

/** What may be over in a moment is given back, everything else thrown. */
export function mustPass(error: unknown): unknown {
  if (error instanceof MigrateError && error.retryable && error.code !== 'FM_TARGET_LOST') return error
  throw error
}
