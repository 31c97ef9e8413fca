import { keySlot, SLOTS } from '@ferrite-migrate/protocol'

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz'
const MOST_LETTERS = 4

let tags: string[] | null = null

/** The shortest text of each slot, the first in the order of the letters: names are made of these, so they never change. */
function makeTags(): string[] {
  const made = new Array<string>(SLOTS)
  let left = SLOTS
  // One piece of memory for all that are tried: there are a hundred thousand.
  const text = Buffer.alloc(MOST_LETTERS)
  const letters = Buffer.from(LETTERS, 'latin1')
  const fill = (at: number, length: number): void => {
    for (const letter of letters) {
      if (left === 0) return
      text[at] = letter
      if (at + 1 < length) {
        fill(at + 1, length)
        continue
      }
      const slot = keySlot(text, 0, length)
      if (made[slot] !== undefined) continue
      made[slot] = text.toString('latin1', 0, length)
      left--
    }
  }
  for (let length = 1; length <= MOST_LETTERS; length++) fill(0, length)
  return made
}

/** A hash tag, without braces, that puts a name into a slot: at most four letters or digits, the same in every version. */
export function slotTag(slot: number): string {
  tags ??= makeTags()
  return tags[slot]
}
