import type { ChangeRecord, DirtyKey } from '@ferrite-migrate/contracts'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { Progress } from '../progress/progress.js'
import type { ForeignKeys } from '../target-content/foreign-keys.js'
import type { HeldExpiries } from './held-expiries.js'
import { endCommand } from './later-end.js'
import type { PostponedEnds } from './postponed-ends.js'

/** What the source no longer has may still be used by commands on their way. */
const GONE_MS = 500

/** Which keys of the target are not to be touched, what is counted, and how commands are called there. */
export interface ReturnedEndsNeeds {
  readonly foreign: ForeignKeys | null
  readonly progress: Progress
  /** Commands under their names at the target. */
  named(commands: readonly ChangeRecord[]): Promise<{ readonly records: readonly ChangeRecord[] }>
}

/** Gives keys their own ends back: those that were held, and those of a file that were put off. */
export class ReturnedEnds {
  private readonly needs: ReturnedEndsNeeds
  private readonly lanes: ShardLanes
  private readonly lane: number
  private readonly held: HeldExpiries
  private readonly postponed: PostponedEnds

  constructor(needs: ReturnedEndsNeeds, lanes: ShardLanes, lane: number, held: HeldExpiries, postponed: PostponedEnds) {
    this.needs = needs
    this.lanes = lanes
    this.lane = lane
    this.held = held
    this.postponed = postponed
  }

  /**
   * Releases every held key.
   * @param gone is told keys that the source has no more; null = nobody can read them at a position, so they end soon
   */
  async release(gone: ((keys: readonly DirtyKey[]) => void) | null): Promise<void> {
    while (this.held.keys.size > 0) {
      const released = await this.held.release()
      if (gone !== null) {
        await this.write(released.commands)
        if (released.gone.length > 0) gone(released.gone)
        continue
      }
      const soon = Date.now() + GONE_MS
      await this.write([...released.commands, ...released.gone.map(({ db, key }) => endCommand(db, key, soon))])
    }
  }

  /** The whole file is replayed: what was put off comes back. */
  async restore(): Promise<void> {
    for await (const commands of this.postponed.restore()) await this.giveBack(commands)
    await this.lanes.drain()
  }

  /** @param commands by the names of the source */
  private async write(commands: readonly ChangeRecord[]): Promise<void> {
    if (commands.length === 0) return
    const { records } = await this.needs.named(commands)
    await this.giveBack(records)
    await this.lanes.drain()
  }

  /** Ends that come back to their keys are no changes of the source. */
  private async giveBack(commands: readonly ChangeRecord[]): Promise<void> {
    const { progress, foreign } = this.needs
    const records =
      foreign === null || foreign.policy === 'replace'
        ? commands
        : commands.filter(({ db, argv }) => !foreign.has(db, argv[1]))
    await this.lanes.write({ kind: 'changes', lane: this.lane, records }, undefined, ({ written }) => {
      progress.changesApplied -= records.length
      progress.written -= written
    })
  }
}
