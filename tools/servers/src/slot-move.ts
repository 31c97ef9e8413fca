import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import type { ClusterNode } from './cluster-node.js'

/** Keys of one MIGRATE. */
const KEYS = 100
/** How long one MIGRATE may take, ms. */
const MIGRATE_MS = 30_000
/** How often a node is told the same when a replica of its goes away meanwhile. */
const TOLD_TIMES = 3

/**
 * Slots on their way from one primary to another, as `redis-cli --cluster reshard` moves them: the receiver imports, the giver
 * migrates, MIGRATE carries the keys, then the receiver, the giver and the others learn the new owner, in this order.
 */
export class SlotMove {
  readonly slots: readonly number[]
  readonly from: ClusterNode
  readonly to: ClusterNode
  private readonly others: readonly ClusterNode[]
  private readonly password: string | undefined

  private constructor(
    slots: readonly number[],
    from: ClusterNode,
    to: ClusterNode,
    others: readonly ClusterNode[],
    password: string | undefined,
  ) {
    this.slots = slots
    this.from = from
    this.to = to
    this.others = others
    this.password = password
  }

  /**
   * Opens the slots at both nodes; no key moves yet.
   * @param others primaries that are told the new owner at the end
   * @throws ReplyError when a node refuses
   */
  static async begin(
    slots: readonly number[],
    from: ClusterNode,
    to: ClusterNode,
    others: readonly ClusterNode[],
    password?: string,
  ): Promise<SlotMove> {
    const move = new SlotMove(slots, from, to, others, password)
    await move.tell(to, 'IMPORTING', from.id)
    await move.tell(from, 'MIGRATING', to.id)
    return move
  }

  /** Moves keys until none is left or `most` have gone; gives their number. @throws ReplyError what MIGRATE answers */
  moveKeys(most = Number.POSITIVE_INFINITY): Promise<number> {
    return this.carry(this.from, this.to, most)
  }

  /** Moves the keys that are left and hands the slots over. */
  async finish(): Promise<void> {
    await this.moveKeys()
    await this.tell(this.to, 'NODE', this.to.id)
    await this.tell(this.from, 'NODE', this.to.id).catch((error: unknown) => {
      // It has heard already that its last slot is gone, and follows the new owner.
      if (!(error instanceof ReplyError) || !error.message.includes('only with masters')) throw error
    })
    for (const node of this.others) await this.tell(node, 'NODE', this.to.id)
  }

  /**
   * The giver keeps the slots, and the keys that have gone come back. It takes none back before it has closed the slots, and then
   * answers for them at once: a key that clients make anew in between stays, and its copy at the receiver is dropped.
   */
  async cancel(): Promise<void> {
    await this.tell(this.from, 'STABLE')
    await this.carry(this.to, this.from)
    await this.tell(this.to, 'STABLE')
  }

  private async carry(from: ClusterNode, to: ClusterNode, most = Number.POSITIVE_INFINITY): Promise<number> {
    const counts = checked(
      await from.pipeline((out) => {
        for (const slot of this.slots) out.call('CLUSTER', 'COUNTKEYSINSLOT', slot)
        return this.slots.length
      }),
    )
    let moved = 0
    for (const [i, slot] of this.slots.entries()) {
      if (Number(counts[i]) === 0) continue
      for (;;) {
        const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, Math.min(KEYS, most - moved))) as Buffer[]
        if (keys.length === 0) break
        await this.migrate(keys, from, to)
        moved += keys.length
        if (moved >= most) return moved
      }
    }
    return moved
  }

  private async migrate(keys: readonly Buffer[], from: ClusterNode, to: ClusterNode): Promise<void> {
    const auth = this.password === undefined ? [] : ['AUTH', this.password]
    try {
      await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, MIGRATE_MS, ...auth, 'KEYS', ...keys)
    } catch (error) {
      // Only keys on their way back can have been made anew where they go to.
      if (to !== this.from || !(error instanceof ReplyError) || !error.message.includes('BUSYKEY')) throw error
      if (keys.length > 1) for (const key of keys) await this.migrate([key], from, to)
      else
        checked(
          await from.pipeline((out) => {
            out.call('ASKING')
            out.call('DEL', keys[0])
            return 2
          }),
        )
    }
  }

  private async tell(node: ClusterNode, state: string, ...id: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries++)
      try {
        checked(
          await node.pipeline((out) => {
            for (const slot of this.slots) out.call('CLUSTER', 'SETSLOT', slot, state, ...id)
            return this.slots.length
          }),
        )
        return
      } catch (error) {
        // A Valkey waits for its replicas, and says so when one of them goes away in that moment.
        const waits = error instanceof ReplyError && error.message.startsWith('NOREPLICAS')
        if (!waits || tries === TOLD_TIMES) throw error
      }
  }
}

/** @throws the first error among the replies */
function checked(replies: readonly Reply[]): readonly Reply[] {
  for (const reply of replies) if (reply instanceof ReplyError) throw reply
  return replies
}
