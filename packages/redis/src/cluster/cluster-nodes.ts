import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'

/** A node of a cluster as one node of it sees it. */
export interface ClusterNode {
  readonly id: string
  /** Where it says it is; null where nobody knows yet. */
  readonly address: Address | null
  readonly role: 'primary' | 'replica'
  /** The id of its primary; null for a primary. */
  readonly primary: string | null
  /** The cluster has agreed that it is down, or it never was met. */
  readonly failed: boolean
  readonly epoch: number
  /** First and last slot of each range that it has. */
  readonly slots: readonly (readonly [number, number])[]
}

/** A slot under way to or from the node that was asked. */
export interface MovingSlot {
  readonly slot: number
  readonly from: string
  readonly to: string
}

/** What one node says of the cluster. */
export interface NodesAnswer {
  /** The node that was asked. */
  readonly self: string
  readonly nodes: readonly ClusterNode[]
  /** Under way at this node alone: others do not know. */
  readonly moving: readonly MovingSlot[]
}

function unreadable(line: string): MigrateError {
  return new MigrateError(
    'FM_CLUSTER_NODES',
    `an answer to CLUSTER NODES cannot be read: ${line.slice(0, 120)}`,
    'Report this with the version of the server.',
  )
}

/**
 * `ip:port@cport[,hostname[,...]]`, as `CLUSTER NODES` writes it. The hostname goes first where there is one, since it was
 * announced to be used.
 */
function addressOf(text: string): Address | null {
  const [place, hostname = ''] = text.split(',')
  const at = place.indexOf('@')
  const end = at < 0 ? place.length : at
  const colon = place.lastIndexOf(':', end)
  const port = Number(place.slice(colon + 1, end))
  const ip = place.slice(0, colon)
  const host = hostname === '' || hostname === '?' ? ip : hostname
  return host === '' || !(port > 0 && port < 65_536) ? null : { host, port }
}

function slotNumber(text: string, line: string): number {
  const slot = /^\d{1,5}$/.test(text) ? Number(text) : SLOTS
  if (slot >= SLOTS) throw unreadable(line)
  return slot
}

/**
 * Reads an answer to `CLUSTER NODES`. The format is that of the Redis documentation of the command: one line a node, with id,
 * address, flags, primary, two times, config epoch, link state and slots.
 * @param asked where the node was asked: it may not know its own address
 * @throws MigrateError FM_CLUSTER_NODES
 */
export function parseNodes(text: string, asked: Address | null): NodesAnswer {
  const nodes: ClusterNode[] = []
  const moving: MovingSlot[] = []
  let self = ''
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [id, place, flagText, primary, , , epoch, , ...slotTexts] = line.trim().split(' ')
    if (!/^[0-9a-f]{40}$/.test(id) || place === undefined || flagText === undefined || epoch === undefined)
      throw unreadable(line)
    const flags = flagText.split(',')
    const myself = flags.includes('myself')
    if (myself) self = id
    const slots: [number, number][] = []
    for (const slotText of slotTexts) {
      const move = /^\[(\d{1,5})-([<>])-([0-9a-f]{40})\]$/.exec(slotText)
      if (move !== null) {
        const slot = slotNumber(move[1], line)
        moving.push(move[2] === '>' ? { slot, from: id, to: move[3] } : { slot, from: move[3], to: id })
        continue
      }
      const [first, last = first] = slotText.split('-')
      slots.push([slotNumber(first, line), slotNumber(last, line)])
    }
    nodes.push({
      id,
      address: addressOf(place) ?? (myself ? asked : null),
      role: flags.includes('master') ? 'primary' : 'replica',
      primary: primary === '-' ? null : primary,
      failed: flags.includes('fail') || flags.includes('noaddr') || flags.includes('handshake'),
      epoch: Number(epoch),
      slots,
    })
  }
  if (self === '') throw unreadable(text)
  return { self, nodes, moving }
}
