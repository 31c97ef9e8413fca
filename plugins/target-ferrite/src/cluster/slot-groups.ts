import type { ChangeRecord } from '@ferrite-migrate/contracts'
import { commandSpecOf } from '@ferrite-migrate/protocol'
import { divided, isOverwrite, NO_SLOT, SEVERAL_SLOTS, slotOfChange } from './change-slots.js'

/** The changes of one slot in one batch, in order: one transaction. */
export interface SlotGroup {
  readonly slot: number
  records: ChangeRecord[]
  /**
   * Each of them makes its key what it was made before, whatever it is now: done again in the same order they come to the same, so
   * that they need no transaction and no place.
   */
  overwrites: boolean
  /** The last place of the stream that these bring; undefined = they bring none. */
  at: number | undefined
}

/** A part of a batch that must be over before the next begins. */
export type Step =
  | { readonly kind: 'groups'; readonly groups: readonly SlotGroup[] }
  /** Empties every node. */
  | { readonly kind: 'flush'; readonly record: ChangeRecord }
  /** Is no key: every node is told, or one of them. */
  | { readonly kind: 'keyless'; readonly record: ChangeRecord; readonly everywhere: boolean }

/** A batch of changes as a cluster takes it. */
export interface GroupedChanges {
  readonly steps: readonly Step[]
  /** Commands that no node takes, and why: their keys have to be read instead. */
  readonly refused: readonly { readonly record: ChangeRecord; readonly reason: string }[]
  /** How many were left out, since their slot has them already. */
  readonly done: number
}

/**
 * Takes a batch apart by slots. What is refused is refused again each time that it comes, whatever its slots have: only reading its
 * keys makes them right.
 * @param doneUpTo the last place of the stream that a slot has; what does not come after it is left out
 */
export function groupChanges(records: readonly ChangeRecord[], doneUpTo: (slot: number) => number): GroupedChanges {
  const steps: Step[] = []
  const refused: { record: ChangeRecord; reason: string }[] = []
  let groups = new Map<number, SlotGroup>()
  let done = 0
  /** Whatever a slot has, it has no more once everything is emptied. */
  let emptied = false
  const close = (): void => {
    if (groups.size > 0) steps.push({ kind: 'groups', groups: [...groups.values()] })
    groups = new Map()
  }
  const add = (slot: number, record: ChangeRecord): void => {
    const { at } = record
    if (at !== undefined && !emptied && at <= doneUpTo(slot)) {
      done++
      return
    }
    const group = groups.get(slot)
    if (group === undefined) groups.set(slot, { slot, records: [record], overwrites: isOverwrite(record), at })
    else {
      group.records.push(record)
      group.overwrites &&= isOverwrite(record)
      // A deletion that stands for an earlier command may come behind one that stands for a flush.
      if (at !== undefined && at > (group.at ?? -1)) group.at = at
    }
  }
  for (const record of records) {
    const slot = slotOfChange(record)
    if (slot >= 0) {
      add(slot, record)
      continue
    }
    if (slot === SEVERAL_SLOTS) {
      const parts = divided(record)
      if (parts === null) refused.push({ record, reason: 'its keys are in several slots of the cluster' })
      else for (const [one, part] of parts) add(one, part)
      continue
    }
    if (slot !== NO_SLOT) continue
    const { kind } = commandSpecOf(record.name)
    if (kind === 'write') continue
    close()
    if (kind === 'flush') {
      steps.push({ kind: 'flush', record })
      emptied = true
    } else if (kind === 'publish') steps.push({ kind: 'keyless', record, everywhere: false })
    else if (kind === 'keyless') steps.push({ kind: 'keyless', record, everywhere: true })
    else refused.push({ record, reason: 'a cluster has one database, and no such command' })
  }
  close()
  return { steps, refused, done }
}
