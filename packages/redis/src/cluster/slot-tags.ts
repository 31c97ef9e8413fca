import { keySlot, SLOTS } from '@ferrite-migrate/protocol'

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz'
const MOST_LETTERS = 4

let tags: string[] | null = null

/** The shortest text of each slot, the first in the order of the letters: names are made of these, so they never change. */
function makeTags(): string[] {
  const made = new Array<string>(SLOTS)
  let left = SLOTS
  let former = ['']
  for (let length = 1; length <= MOST_LETTERS && left > 0; length++) {
    const longer: string[] = []
    for (const start of former)
      for (const letter of LETTERS) {
        const text = start + letter
        if (length < MOST_LETTERS) longer.push(text)
        const slot = keySlot(Buffer.from(text, 'latin1'))
        if (made[slot] !== undefined) continue
        made[slot] = text
        left--
      }
    former = longer
  }
  return made
}

/** A hash tag, without braces, that puts a name into a slot: at most four letters or digits, the same in every version. */
export function slotTag(slot: number): string {
  tags ??= makeTags()
  return tags[slot]
}
