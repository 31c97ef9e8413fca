import { type ChangeRecord, PackedChange } from '@ferrite-migrate/contracts'
import { commandRecord, commandSpecOf, keyPositions, keySlot } from '@ferrite-migrate/protocol'

/** What a command that names no key has for a slot, and one whose keys are in several. */
export const NO_SLOT = -1
export const SEVERAL_SLOTS = -2

/** Commands that mean for all their keys what they mean for each: how many arguments a key has, itself with them. */
const DIVISIBLE: ReadonlyMap<string, number> = new Map([
  ['DEL', 1],
  ['UNLINK', 1],
  ['TOUCH', 1],
  ['MSET', 2],
])

const CR = 13

/** The slot of the keys that a command writes to. */
export function slotOfChange(record: ChangeRecord): number {
  const spec = commandSpecOf(record.name)
  if (spec.kind !== 'write') return NO_SLOT
  if (spec.first === 1 && spec.last === 1 && spec.find === undefined && record instanceof PackedChange)
    return slotOfFirst(record)
  const { argv } = record
  let slot = NO_SLOT
  for (const at of keyPositions(spec, argv)) {
    const one = keySlot(argv[at])
    if (slot !== NO_SLOT && slot !== one) return SEVERAL_SLOTS
    slot = one
  }
  return slot
}

/** The same for a command whose only key is its first argument, without taking it apart. */
function slotOfFirst({ data, start, end }: PackedChange): number {
  let at = start
  let length = 0
  // The number of arguments, the length of the name, that of the key: each stands before a CR.
  for (let line = 0; line < 3; line++) {
    length = 0
    for (at++; at < end && data[at] !== CR; at++) length = length * 10 + data[at] - 48
    at += 2
    if (line === 1) at += length + 2
  }
  return at + length > end ? NO_SLOT : keySlot(data, at, at + length)
}

/** A command over several slots as one command a slot; null = it cannot be divided. */
export function divided(record: ChangeRecord): ReadonlyMap<number, ChangeRecord> | null {
  const step = DIVISIBLE.get(record.name)
  if (step === undefined) return null
  const { argv } = record
  const parts = new Map<number, Buffer[]>()
  for (let at = 1; at + step <= argv.length; at += step) {
    const slot = keySlot(argv[at])
    const part = parts.get(slot) ?? [argv[0]]
    part.push(...argv.slice(at, at + step))
    parts.set(slot, part)
  }
  const { db, receivedAt, at } = record
  return new Map([...parts].map(([slot, words]) => [slot, commandRecord(db, words, receivedAt, at)]))
}

/** True for a command that gives its only key a whole new state, of which nothing depends on the one before. */
export function isOverwrite(record: ChangeRecord): boolean {
  const { name } = record
  const count = name === 'SET' ? 51 : name === 'DEL' || name === 'UNLINK' ? 50 : 0
  if (count === 0) return false
  const { data, start } = record instanceof PackedChange ? record : { data: record.resp, start: 0 }
  // The number of arguments has one digit, and is this one: an option could make the command depend on what is there.
  return data[start + 1] === count && data[start + 2] === CR
}
