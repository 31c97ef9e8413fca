import type { CollisionGuard } from '../transform/collision-guard.js'
import type { KeyValues } from './changes/key-values.js'

/** Learns in the background which names are taken, for a run that goes on; what is found ends the run at its next step. */
export class RememberedNames {
  private readonly collisions: CollisionGuard | null
  private readonly values: Pick<KeyValues, 'persisting'>
  private readonly signal: AbortSignal
  private work: Promise<void> | null = null
  private failure: Error | null = null

  /** @param collisions null = the rules keep names apart, and nothing needs to be known */
  constructor(collisions: CollisionGuard | null, values: Pick<KeyValues, 'persisting'>, signal: AbortSignal) {
    this.collisions = collisions
    this.values = values
    this.signal = signal
  }

  begin(): void {
    const { collisions } = this
    if (collisions === null) return
    this.work = this.values
      .persisting(() => collisions.remember(this.signal))
      .catch((error: Error) => {
        this.failure = error
      })
  }

  /** @throws MigrateError FM_TRANSFORM_COLLISION when two keys get one name, or what kept it from being known */
  check(): void {
    if (this.failure !== null) throw this.failure
  }

  /** Waits until everything is known. @throws like `check` */
  async end(): Promise<void> {
    await this.work
    this.check()
  }
}
