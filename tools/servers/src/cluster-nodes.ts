/** Slots from `first` to `last`, both included. */
export interface SlotRange {
  readonly first: number
  readonly last: number
}

/** A slot that is open at a node: its keys come from or go to a peer. */
export interface OpenSlot {
  readonly slot: number
  readonly direction: 'importing' | 'migrating'
  /** Id of the other node. */
  readonly peer: string
}

/** A line of CLUSTER NODES: what one node thinks of another. */
export interface NodeLine {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly flags: readonly string[]
  /** Id of its primary; null = it is one. */
  readonly primary: string | null
  readonly epoch: number
  readonly connected: boolean
  readonly slots: readonly SlotRange[]
  /** Only a node's own line tells. */
  readonly open: readonly OpenSlot[]
}

/** Takes the reply of CLUSTER NODES apart. */
export function parseClusterNodes(text: string): NodeLine[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [id, address, flags, primary, , , epoch, link, ...slots] = line.trim().split(' ')
      const [place] = address.split(/[@,]/)
      const colon = place.lastIndexOf(':')
      return {
        id,
        host: place.slice(0, colon),
        port: Number(place.slice(colon + 1)),
        flags: flags.split(','),
        primary: primary === '-' ? null : primary,
        epoch: Number(epoch),
        connected: link === 'connected',
        slots: slots.filter((text) => !text.startsWith('[')).map(parseRange),
        open: slots.filter((text) => text.startsWith('[')).map(parseOpen),
      }
    })
}

function parseRange(text: string): SlotRange {
  const [first, last = first] = text.split('-')
  return { first: Number(first), last: Number(last) }
}

function parseOpen(text: string): OpenSlot {
  const [, slot, sign, peer] = /^\[(\d+)-([<>])-(\w+)\]$/.exec(text) ?? []
  return { slot: Number(slot), direction: sign === '<' ? 'importing' : 'migrating', peer: peer ?? '' }
}

/** The slots in groups of neighbours. */
export function rangesOf(slots: Iterable<number>): SlotRange[] {
  const ranges: { first: number; last: number }[] = []
  for (const slot of [...slots].sort((a, b) => a - b)) {
    const before = ranges.at(-1)
    if (before !== undefined && slot <= before.last + 1) before.last = slot
    else ranges.push({ first: slot, last: slot })
  }
  return ranges
}

/** All slots of the ranges, in their order. */
export function slotsOf(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
}
