import { type DirtyKey, MigrateError, type Position } from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'
import { slotRanges } from '@ferrite-migrate/redis'

/** What one node is known to have of a shard's stream: everything up to a place, in all of its slots. */
export interface SlotMark {
  readonly position: Position
  /** Keys that are to be read again by whoever goes on from here. */
  readonly dirty: readonly DirtyKey[]
  /** The last change before the position; 0 = there was none. */
  readonly at: number
  /** Whose keys it speaks of. */
  readonly slots: readonly number[]
  /** The node in whose stream it stands, and its replicas. */
  readonly nodes: readonly string[]
  /** The copy that the stream follows: a later one has a higher number, and marks of earlier ones do not count beside its own. */
  readonly copy: number
}

/** A mark as it was found: in this slot, whose owner is this node now. */
export interface FoundMark {
  readonly mark: SlotMark
  readonly owner: string | null
}

/** Where a shard goes on, and what each slot has by then. */
export interface LowWater {
  /** The lowest of the marks that count. */
  readonly mark: SlotMark
  /** Of all that count: to read a key once more is never wrong. */
  readonly dirty: readonly DirtyKey[]
  /** The last change that the mark of each slot speaks of. */
  readonly covered: Float64Array
}

/** A mark as the value of its key. */
export function encodeMark({ position, dirty, at, slots, nodes, copy }: SlotMark): string {
  const keys = dirty.map(({ db, key }) => [db, key.toString('base64')])
  return JSON.stringify({
    position,
    at,
    copy,
    slots: slotRanges(slots),
    nodes,
    ...(keys.length > 0 ? { dirty: keys } : {}),
  })
}

/** @throws MigrateError FM_CHECKPOINT_INVALID */
export function decodeMark(text: string): SlotMark {
  try {
    const {
      position,
      at,
      copy,
      slots,
      nodes,
      dirty = [],
    } = JSON.parse(text) as {
      position: string
      at: number
      copy: number
      slots: string
      nodes: string[]
      dirty?: [number, string][]
    }
    const numbers = [at, copy].every((one) => typeof one === 'number')
    if (typeof position !== 'string' || !numbers || !Array.isArray(nodes)) throw new Error('no mark')
    return {
      position,
      at,
      copy,
      slots: parseRanges(slots),
      nodes,
      dirty: dirty.map(([db, key]) => ({ db, key: Buffer.from(key, 'base64') })),
    }
  } catch (cause) {
    throw new MigrateError(
      'FM_CHECKPOINT_INVALID',
      'a checkpoint at the cluster cannot be read',
      'Start a new migration without --resume.',
      { cause },
    )
  }
}

function parseRanges(text: string): number[] {
  const slots: number[] = []
  for (const range of text.split(',')) {
    const [first, last = first] = range.split('-').map(Number)
    if (!(first >= 0 && last < SLOTS)) throw new Error('no range of slots')
    for (let slot = first; slot <= last; slot++) slots.push(slot)
  }
  return slots
}

/**
 * The place that every slot has come to, by the marks of the nodes. A mark counts only where it still stands in the stream that it
 * speaks of: one that went to another node with its slot does not tell what a replica of the first has lost. One of an earlier copy
 * has come back with a replica that had not heard of the later one. Null = there are slots of which no mark speaks.
 */
export function lowWater(found: readonly FoundMark[]): LowWater | null {
  const best = new Array<SlotMark | undefined>(SLOTS)
  const copy = Math.max(...found.map(({ mark }) => mark.copy))
  for (const { mark, owner } of found) {
    if (owner === null || mark.copy !== copy || !mark.nodes.includes(owner)) continue
    for (const slot of mark.slots) if (mark.at >= (best[slot]?.at ?? -1)) best[slot] = mark
  }
  const counting = new Set(best)
  if (best.length < SLOTS || counting.has(undefined)) return null
  const marks = [...counting].filter((mark) => mark !== undefined)
  const mark = marks.reduce((lowest, one) => (one.at < lowest.at ? one : lowest))
  return {
    mark,
    dirty: marks.flatMap(({ dirty }) => dirty),
    covered: Float64Array.from(best, (one) => one?.at ?? 0),
  }
}
