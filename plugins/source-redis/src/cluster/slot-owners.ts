import { SLOTS } from '@ferrite-migrate/protocol'
import { slotsText } from './cluster-position.js'

/** Nobody's commands are taken for the slot: it is between two shards. */
const NOBODY = -1

/**
 * Whose commands are taken for each slot. That is not who owns it in the cluster at this moment: a slot changes hands here only by
 * a handover, which reads all of its keys once more.
 */
export class SlotOwners {
  private readonly places = new Int16Array(SLOTS).fill(NOBODY)
  private readonly names: string[] = []
  private readonly texts = new Map<string, string>()
  private given = 0
  private readonly isDoubtful: (slot: number) => boolean

  /** @param isDoubtful true for slots that may be wrong at the target now */
  constructor(isDoubtful: (slot: number) => boolean) {
    this.isDoubtful = isDoubtful
  }

  /** A small number that stands for the shard from now on. */
  placeOf(shard: string): number {
    const known = this.names.indexOf(shard)
    if (known >= 0) return known
    this.names.push(shard)
    return this.names.length - 1
  }

  /** The place of the shard that has the slot; -1 = nobody. */
  at(slot: number): number {
    return this.places[slot]
  }

  /** The shard that has the slot; null = nobody. */
  of(slot: number): string | null {
    return this.names[this.places[slot]] ?? null
  }

  /** Another number each time that somebody is given something. */
  get version(): number {
    return this.given
  }

  give(slots: Iterable<number>, shard: string | null): void {
    this.given++
    const place = shard === null ? NOBODY : this.placeOf(shard)
    for (const slot of slots) this.places[slot] = place
    this.texts.clear()
  }

  slotsOf(shard: string): number[] {
    const place = this.placeOf(shard)
    const slots: number[] = []
    for (let slot = 0; slot < SLOTS; slot++) if (this.places[slot] === place) slots.push(slot)
    return slots
  }

  /** What is doubtful has changed. */
  touched(): void {
    this.texts.clear()
  }

  /** The slots of a shard as they stand in its positions: those that are right at the target. */
  textOf(shard: string): string {
    let text = this.texts.get(shard)
    if (text === undefined) {
      text = slotsText(this.slotsOf(shard).filter((slot) => !this.isDoubtful(slot)))
      this.texts.set(shard, text)
    }
    return text
  }
}
