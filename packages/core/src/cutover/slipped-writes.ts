import { setTimeout as sleep } from 'node:timers/promises'
import type { Fence, Position } from '@ferrite-migrate/contracts'
import type { ChangeTrack } from '../engine/changes/change-track.js'
import { printableKey } from '../records/printable-key.js'

const LOOK_MS = 5
/** Keys that are named. */
const NAMED = 20
/** How long what the source holds may take to be read. */
const SEEN_MS = 5000
/** How long an event of a change may be on its way. */
const EVENTS_MS = 300

/** Keys that were written to the source behind a fence and are not at the target; `more` when there are others. */
export interface Slipped {
  readonly keys: readonly string[]
  readonly more: boolean
}

/** Whose changes are read on behind the fence. */
export interface StillRead {
  readonly lossless: boolean
  /** True once everything up to this position was read, applied or not. */
  seen(shard: string, position: Position): boolean
}

/** What the source took behind a fence, by the keys of changes that came after everything was applied. */
export class SlippedWrites {
  private readonly of: StillRead
  private readonly fence: Pick<Fence, 'positions' | 'fell'>
  private readonly frozen: ChangeTrack
  private readonly step: (name: string, text: string) => void

  /**
   * @param frozen keys of those changes
   * @param step is told what was found, under the name of a step
   */
  constructor(
    of: StillRead,
    fence: Pick<Fence, 'positions' | 'fell'>,
    frozen: ChangeTrack,
    step: (name: string, text: string) => void,
  ) {
    this.of = of
    this.fence = fence
    this.frozen = frozen
    this.step = step
  }

  /** Reads up to where the source is now, and says what it found. Never throws. */
  async look(): Promise<Slipped> {
    const { of, fence, frozen } = this
    const unseen = await this.readOn()
    const keys = frozen.keys(NAMED).map(({ key }) => printableKey(key))
    if (frozen.resynced)
      this.step('fence', 'the source began anew behind the fence: what it holds now is not looked at, nor written')
    // Where events tell of changes, one may have been lost while the fence was down.
    const more = frozen.overflow || frozen.size > keys.length || unseen || (!of.lossless && fence.fell())
    if (keys.length > 0 || more)
      this.step(
        'slipped',
        `FM_FENCE_FELL: the source took writes behind the fence, which are not at the target: ${keys.join(', ')}${more ? (keys.length > 0 ? ' and others' : 'which ones is not known') : ''}`,
      )
    else if (fence.fell())
      this.step(
        'fence',
        'the fence was down for a while, since this process stood still; nothing was written meanwhile',
      )
    return { keys, more }
  }

  /** True = something that the source holds was not read in time. */
  private async readOn(): Promise<boolean> {
    const { of, frozen } = this
    let unseen = false
    try {
      const now = await this.fence.positions()
      const deadline = Date.now() + SEEN_MS
      for (const [shard, position] of now) {
        const isRead = (): boolean => of.seen(shard, position) || frozen.resynced
        while (!isRead() && Date.now() < deadline) await sleep(LOOK_MS)
        unseen ||= !isRead()
      }
      // Events tell no place: those of the last moment are waited for.
      if (!of.lossless) await sleep(EVENTS_MS)
    } catch (error) {
      this.step('fence', `the source could not be asked whether the fence held: ${(error as Error).message}`)
    }
    return unseen
  }
}
