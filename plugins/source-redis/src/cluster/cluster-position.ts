import { MigrateError, type Position } from '@ferrite-migrate/contracts'
import { SLOTS } from '@ferrite-migrate/protocol'
import { slotRanges } from '@ferrite-migrate/redis'

/** Longer lists of ranges are written as bits. */
const RANGES_BYTES = 800
const BITS = 'b'

/** A place in the stream of one shard, and the slots whose keys the target had from this shard up to there. */
export interface ClusterPosition {
  /** Of the replication stream. */
  readonly stream: Position
  readonly slots: readonly number[]
}

function invalid(position: Position): MigrateError {
  return new MigrateError(
    'FM_POSITION_INVALID',
    `"${position.slice(0, 80)}" is no position of a shard of a cluster`,
    'Start again without it.',
  )
}

/** The slots as they stand in a position. */
export function slotsText(slots: readonly number[]): string {
  const ranges = slotRanges(slots)
  if (ranges.length <= RANGES_BYTES) return ranges
  const bits = Buffer.alloc(SLOTS / 8)
  for (const slot of slots) bits[slot >> 3] |= 1 << (slot & 7)
  return BITS + bits.toString('base64')
}

function parseSlots(text: string, position: Position): number[] {
  const slots: number[] = []
  if (text.startsWith(BITS)) {
    const bits = Buffer.from(text.slice(1), 'base64')
    if (bits.length !== SLOTS / 8) throw invalid(position)
    for (let slot = 0; slot < SLOTS; slot++) if ((bits[slot >> 3] & (1 << (slot & 7))) !== 0) slots.push(slot)
    return slots
  }
  for (const range of text === '' ? [] : text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range)
    const first = Number(match?.[1])
    const last = match?.[2] === undefined ? first : Number(match[2])
    if (match === null || last >= SLOTS || first > last) throw invalid(position)
    for (let slot = first; slot <= last; slot++) slots.push(slot)
  }
  return slots
}

/** `<position of the stream>@<slots>`. */
export function clusterPosition(stream: Position, slots: string): Position {
  return `${stream}@${slots}`
}

/** The part of a position that is a place in the stream. @throws MigrateError FM_POSITION_INVALID */
export function streamPosition(position: Position): Position {
  const at = position.indexOf('@')
  if (at < 0) throw invalid(position)
  return position.slice(0, at)
}

/** @throws MigrateError FM_POSITION_INVALID */
export function parseClusterPosition(position: Position): ClusterPosition {
  const stream = streamPosition(position)
  return { stream, slots: parseSlots(position.slice(stream.length + 1), position) }
}
