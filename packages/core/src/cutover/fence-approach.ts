import { setTimeout as sleep } from 'node:timers/promises'
import { counted, MigrateError } from '@ferrite-migrate/contracts'
import type { MigrationStatus } from '../state/status.js'
import type { CutoverOptions } from './cutover-options.js'

const LOOK_MS = 20
/** How long a wait may be before it is told. */
const TELL_MS = 1000
const SETTLE_MS = 50

/** What comes near enough for a fence: a migration, by how much it is behind. */
export interface Approaching {
  status(): Pick<MigrationStatus, 'lagKeys' | 'lagBytes'>
  readLag(): Promise<void>
  settle(): Promise<void>
}

/** Waits before a fence until so little is behind that writers are kept out for a moment only. */
export class FenceApproach {
  private readonly of: Approaching
  private readonly options: Pick<CutoverOptions, 'maxLag' | 'timeoutMs'>
  private readonly step: (name: string, text: string) => void
  private readonly mustGoOn: () => void

  /**
   * @param step is told what is done, under the name of a step
   * @param mustGoOn throws when nobody wants it any more
   */
  constructor(
    of: Approaching,
    options: Pick<CutoverOptions, 'maxLag' | 'timeoutMs'>,
    step: (name: string, text: string) => void,
    mustGoOn: () => void,
  ) {
    this.of = of
    this.options = options
    this.step = step
    this.mustGoOn = mustGoOn
  }

  /** Says how much is behind, and waits for nothing. */
  async look(): Promise<void> {
    await this.of.readLag()
    const { lagKeys, lagBytes } = this.of.status()
    this.step(
      'lag',
      `${lagKeys === null ? 'an unknown number of keys' : counted(lagKeys, 'key')} (${lagBytes === null ? 'unknown' : lagBytes.toLocaleString('en-US')} bytes) behind; at most ${this.options.maxLag} are allowed`,
    )
  }

  /** Until few enough keys are behind. @throws MigrateError FM_CUTOVER_LAG when they are not in time */
  async awaitLag(): Promise<void> {
    const { maxLag, timeoutMs } = this.options
    const begun = Date.now()
    let told = false
    for (;;) {
      this.mustGoOn()
      await this.of.readLag()
      const { lagKeys } = this.of.status()
      if (lagKeys !== null && lagKeys <= maxLag) {
        this.step('lag', `${counted(lagKeys, 'key')} behind, at most ${maxLag} are allowed`)
        return
      }
      const waited = Date.now() - begun
      if (!told && waited > TELL_MS) {
        told = true
        this.step(
          'wait',
          `${lagKeys === null ? 'the source does not tell how much is behind' : `${counted(lagKeys, 'key')} behind, more than ${maxLag}`}: waiting up to ${timeoutMs / 1000} s`,
        )
      }
      if (waited > timeoutMs)
        throw new MigrateError(
          'FM_CUTOVER_LAG',
          `${lagKeys === null ? 'an unknown number of keys are' : counted(lagKeys, 'key is', 'keys are')} behind, more than ${maxLag}`,
          'Wait for a quieter time, or allow more with --max-lag or --timeout.',
        )
      await sleep(LOOK_MS)
    }
  }

  /** Until every key has its own end at the target. @throws MigrateError FM_CUTOVER_LAG when they have not in time */
  async awaitEnds(): Promise<void> {
    const deadline = Date.now() + this.options.timeoutMs
    const settled = this.of.settle().then(() => true)
    for (;;) {
      if (await Promise.race([settled, sleep(SETTLE_MS, false)])) return
      this.mustGoOn()
      if (Date.now() > deadline)
        throw new MigrateError(
          'FM_CUTOVER_LAG',
          'the source did not tell in time when its keys end',
          'Look whether it answers, or give more time with --timeout.',
        )
    }
  }
}
