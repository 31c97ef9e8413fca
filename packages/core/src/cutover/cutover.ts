import { setTimeout as sleep } from 'node:timers/promises'
import { counted, MigrateError, type Source } from '@ferrite-migrate/contracts'
import type { ChangeTrack } from '../engine/changes/change-track.js'
import type { RequestStep } from '../state/requests.js'
import type { Verifier } from '../verify/verifier.js'
import type { VerifyReport } from '../verify/verify-report.js'
import { lookedText, refuseDifferences, settledReport, settledText } from './compared-ends.js'
import { CutoverHook, type HookFacts } from './cutover-hook.js'
import type { CutoverOptions } from './cutover-options.js'
import { type Approaching, FenceApproach } from './fence-approach.js'
import { type Drained, FenceDrain } from './fence-drain.js'
import { type Slipped, SlippedWrites, type StillRead } from './slipped-writes.js'
import { StandingFence } from './standing-fence.js'

export interface CutoverResult {
  readonly dryRun: boolean
  /** From the fence going up to the moment when the target is the one to write to, ms. */
  readonly downtimeMs: number | null
  readonly fence: string
  readonly verification: VerifyReport | null
  readonly slipped: Slipped
}

/** What a cutover needs of the migration that it ends. */
export interface CutoverSubject extends Approaching, Drained, StillRead {
  readonly source: Drained['source'] & Pick<Source, 'fence'>
  status(): HookFacts & ReturnType<Approaching['status']>
  track(): Promise<ChangeTrack>
  untrack(): Promise<void>
  /** @throws MigrateError FM_TARGET_KEEPS_NOTHING when what was written last is not there */
  mustKeep(): Promise<void>
  /** From now on nothing is applied: changes that still come are only noted. */
  freeze(): Promise<ChangeTrack>
  /** Changes are applied again, from where they were frozen. */
  thaw(): Promise<void>
  /** Calls with a verifier whose connections live as long as the call. */
  withVerifier<T>(rounds: number, use: (verifier: Pick<Verifier, 'run' | 'compareKeys'>) => Promise<T>): Promise<T>
  /** Mends keys that a lossy capture may have missed. */
  repair(report: VerifyReport): Promise<void>
  step(step: RequestStep): void
  readonly signal: AbortSignal
}

const LAST_KEYS = 500
const NOTHING_SLIPPED: Slipped = { keys: [], more: false }
/** What differed before the fence is equal behind it. */
const MENDED = { mismatched: 0, missingSource: 0, missingTarget: 0 }

/** Switches from source to target in steps; whatever fails, the fence comes down and the migration goes on. */
export class Cutover {
  private readonly subject: CutoverSubject
  private readonly options: CutoverOptions
  private readonly approach: FenceApproach
  private readonly fence: StandingFence
  /** Keys of changes that came after everything was applied. */
  private frozen: ChangeTrack | null = null
  /** Somebody does not want it any more. */
  private calledOff = false
  /** The traffic is being moved: it is too late to call it off. */
  private moving = false

  constructor(subject: CutoverSubject, options: CutoverOptions) {
    this.subject = subject
    this.options = options
    this.approach = new FenceApproach(subject, options, this.step, this.mustGoOn)
    this.fence = new StandingFence(subject.source, options, this.step)
  }

  /**
   * Runs until the target is the one to write to; the fence is then still up: `release` takes it down.
   * @throws MigrateError FM_CUTOVER_*; FM_VERIFY_DIFFERENCES when the two ends differ
   */
  async run(): Promise<CutoverResult> {
    const { subject, options } = this
    if (options.dryRun) return this.dryRun()
    this.mustGoOn()
    const track = await subject.track()
    try {
      await this.approach.awaitLag()
      await this.approach.awaitEnds()
      const before = options.verify ? await this.compareBefore(track) : null
      this.mustGoOn()
      const last = await subject.withVerifier(2, async (verifier) => {
        // Its connections are open before writers wait for what it finds; what it finds now says nothing.
        if (subject.lossless) await verifier.compareKeys(track.keys(LAST_KEYS))
        await subject.mustKeep()
        this.mustGoOn()
        await this.fence.putUp()
        this.step('drain', await new FenceDrain(subject, this.fence.standing, options.timeoutMs, this.mustGoOn).run())
        return this.lastLook(track, verifier)
      })
      this.mustGoOn()
      // Throws where what is fenced is not the source any more, as after a failover.
      await this.fence.standing?.positions()
      // The hook moves the traffic: what reaches the source from here on must not be written over what the target gets.
      this.moving = true
      this.frozen = await subject.freeze()
      await this.runHook()
      return await this.done(before, last)
    } catch (error) {
      try {
        await this.release('called off')
      } finally {
        // Also where the fence stays up: the migration goes on.
        await subject.thaw()
      }
      throw error
    } finally {
      await subject.untrack()
    }
  }

  /**
   * Keeps the fence up for the time that was asked for, looks what slipped through it, and takes it down.
   * @param signal ends the wait
   */
  async hold(result: CutoverResult, signal: AbortSignal): Promise<CutoverResult> {
    const { holdMs, afterCutover } = this.options
    if (holdMs > 0) await sleep(holdMs, undefined, { signal }).catch(() => undefined)
    const slipped = await this.slipped()
    if (afterCutover === 'keep-fence' && this.fence.keep())
      this.step(
        'keep-fence',
        `the fence stays up, as asked: ferrite-migrate cutover --id ${this.subject.status().id} --release takes it down`,
      )
    else await this.release()
    return { ...result, slipped }
  }

  /** Ends it before the traffic is moved: `run` then throws FM_CUTOVER_CALLED_OFF. False when it is too late. */
  callOff(): boolean {
    if (this.moving) return false
    this.calledOff = true
    return true
  }

  /** Takes the fence down; asked for twice, the second waits for the first. */
  release(why = 'done'): Promise<void> {
    return this.fence.release(why)
  }

  /** Between steps: whoever wants to stop does not cut over. @throws MigrateError FM_INTERRUPTED, FM_CUTOVER_CALLED_OFF */
  private readonly mustGoOn = (): void => {
    if (this.calledOff)
      throw new MigrateError(
        'FM_CUTOVER_CALLED_OFF',
        'the cutover was called off, as asked',
        'The migration goes on; cut over again when it suits.',
      )
    if (this.subject.signal.aborted)
      throw new MigrateError(
        'FM_INTERRUPTED',
        'stopped in the middle of a cutover',
        'Go on with --resume, and cut over again.',
      )
  }

  private readonly step = (name: string, text: string): void => {
    this.subject.step({ at: Date.now(), name, text })
  }

  /** Compares everything before the fence, so that little is left to compare behind it. */
  private async compareBefore(track: ChangeTrack): Promise<VerifyReport> {
    const report = await this.subject.withVerifier(4, (verifier) => verifier.run())
    this.mustGoOn()
    const settled = settledReport(report, track)
    this.step('verify', settledText(report, settled))
    refuseDifferences(settled)
    await this.approach.awaitLag()
    return settled
  }

  private async dryRun(): Promise<CutoverResult> {
    const { options } = this
    await this.approach.look()
    const { keysFailed } = this.subject.status()
    if (keysFailed > 0)
      this.step(
        'failures',
        `${counted(keysFailed, 'key was', 'keys were')} refused by the target: look at status or the report before you cut over`,
      )
    if (options.verify)
      this.step(
        'verify',
        'everything would be compared by value before the fence, and behind it what changed meanwhile',
      )
    const fence = await this.fence.check()
    this.step(
      'fence',
      fence === null ? 'no fence: writers must be stopped by other means' : `dry run, nobody waits yet: ${fence.note}`,
    )
    this.step('drain', 'everything written before the fence would be applied, and the last keys compared')
    if (options.hook !== undefined || options.webhook !== undefined)
      this.step('hook', 'the hook would run; if it fails, the fence comes down and the migration goes on')
    this.step('done', 'dry run: nothing was changed')
    return {
      dryRun: true,
      downtimeMs: null,
      fence: fence?.kind ?? 'none',
      verification: null,
      slipped: NOTHING_SLIPPED,
    }
  }

  /** Behind the fence both ends stand still: what changed since the comparison, or at least the last keys, must be equal. */
  private async lastLook(track: ChangeTrack, verifier: Pick<Verifier, 'run' | 'compareKeys'>): Promise<VerifyReport> {
    const { subject, options } = this
    const whole = (options.verify && track.overflow) || !subject.lossless
    let report = await (whole
      ? verifier.run()
      : verifier.compareKeys(track.keys(options.verify ? undefined : LAST_KEYS)))
    // A look that was ended says nothing.
    this.mustGoOn()
    if (!report.equal && !subject.lossless) {
      await subject.repair(report)
      report = await subject.withVerifier(2, (again) => again.run())
      this.mustGoOn()
    }
    this.step('verify', lookedText(report, whole, options.verify))
    refuseDifferences(report)
    return report
  }

  /** @throws MigrateError FM_CUTOVER_HOOK when the traffic could not be moved */
  private async runHook(): Promise<void> {
    const { hook, webhook, hookTimeoutMs } = this.options
    const asked = new CutoverHook(this.subject.status(), hookTimeoutMs, this.subject.signal)
    if (hook !== undefined) {
      this.mustAgree('hook', await asked.command(hook))
      this.step('hook', 'the hook succeeded')
    }
    if (webhook === undefined) return
    this.mustAgree('webhook', await asked.post(webhook))
    this.step('hook', 'the webhook agreed')
  }

  private mustAgree(who: string, failure: string | null): void {
    this.mustGoOn()
    if (failure !== null)
      throw new MigrateError(
        'FM_CUTOVER_HOOK',
        `the ${who} ${failure}`,
        `Mend the ${who} and cut over again; the migration goes on.`,
      )
  }

  /** From this moment the target is the one to write to. */
  private async done(before: VerifyReport | null, last: VerifyReport): Promise<CutoverResult> {
    const { downtimeMs, standing } = this.fence
    const text = 'the target is the one to write to'
    this.step('done', downtimeMs === null ? text : `${text}; writers were kept out for ${downtimeMs} ms`)
    const found = this.subject.lossless ? null : last
    return {
      dryRun: false,
      downtimeMs,
      fence: standing?.kind ?? 'none',
      verification: before === null ? found : { ...before, ...MENDED, matching: before.compared },
      slipped: await this.slipped(),
    }
  }

  private async slipped(): Promise<Slipped> {
    const { frozen } = this
    const { standing } = this.fence
    if (standing === null || frozen === null) return NOTHING_SLIPPED
    return new SlippedWrites(this.subject, standing, frozen, this.step).look()
  }
}
