import {
  type ChangeRecord,
  type DirtyKey,
  PackedChange,
  PackedRecord,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, keyPositions, keySlot } from '@ferrite-migrate/protocol'

/** A command that names no key. */
export const NO_SLOT = -1

const CR = 13

/** Reads the number behind `$` or `*`; `next` is where the line behind it begins. */
let next = 0
function length(data: Buffer, at: number): number {
  let value = 0
  for (let i = at + 1; ; i++) {
    const byte = data[i]
    if (byte === CR) {
      next = i + 2
      return value
    }
    value = value * 10 + byte - 48
  }
}

/** The slot of the first argument of a command whose bytes are those of the stream. */
function slotOfFirst({ data, start, end }: PackedChange): number {
  if (length(data, start) < 2) return NO_SLOT
  const name = length(data, next)
  const key = next + name + 2
  if (key >= end) return NO_SLOT
  const bytes = length(data, key)
  return keySlot(data, next, next + bytes)
}

/**
 * The slot of the keys of a command: in a cluster all of them lie in one. A script may name none; its keys are nobody's then.
 * @returns NO_SLOT when it names no key
 */
export function slotOfChange(record: ChangeRecord): number {
  const spec = commandSpecOf(record.name)
  if (spec.kind !== 'write') return NO_SLOT
  if (spec.first === 1 && spec.find === undefined && record instanceof PackedChange) return slotOfFirst(record)
  const { argv } = record
  const [first] = keyPositions(spec, argv)
  return first === undefined || argv[first] === undefined ? NO_SLOT : keySlot(argv[first])
}

export function slotOfRecord(record: SnapshotRecord): number {
  return record instanceof PackedRecord ? keySlot(record.keyData, record.keyStart, record.keyEnd) : keySlot(record.key)
}

/** The keys of a command, copied: its block is used again. */
export function keysOfChange(record: ChangeRecord): DirtyKey[] {
  const { argv, db } = record
  return keyPositions(commandSpecOf(record.name), argv).map((at) => ({ db, key: Buffer.from(argv[at]) }))
}
