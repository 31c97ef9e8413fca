import type { Target } from '@ferrite-migrate/contracts'

/**
 * Brings a lost target back, once for all shards: the first that notices opens the connections anew and ends what the former
 * ones left; the others only go on from their own checkpoints. Without this each would end what another has just begun.
 */
export class TargetRecovery {
  /** How often it was brought back. A shard remembers it when it begins to write. */
  generation = 0
  private readonly target: Target
  private readonly migration: string
  private readonly leave: () => void
  private working: Promise<void> | null = null

  /** @param leave called before the connections are made anew: from then on nobody writes who has not gone on from its checkpoint */
  constructor(target: Target, migration: string, leave: () => void = () => undefined) {
    this.target = target
    this.migration = migration
    this.leave = leave
  }

  /**
   * @param since the generation in which the loss was noticed: an older one has been dealt with already
   * @throws whatever the target throws; it is then tried again
   */
  async recover(since: number): Promise<void> {
    while (this.working !== null) await this.working.catch(() => undefined)
    if (since < this.generation) return
    this.working = this.work().finally(() => {
      this.working = null
    })
    await this.working
  }

  private async work(): Promise<void> {
    this.leave()
    await this.target.reconnect?.()
    await this.target.takeOver?.(this.migration)
    this.generation++
  }
}
