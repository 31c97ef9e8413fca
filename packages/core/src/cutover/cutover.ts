import { setTimeout as sleep } from 'node:timers/promises'
import { counted, type Fence, MigrateError, type Position, type Source } from '@ferrite-migrate/contracts'
import type { ChangeTrack } from '../engine/changes/change-track.js'
import { printableKey } from '../records/printable-key.js'
import type { RequestStep } from '../state/requests.js'
import type { Verifier } from '../verify/verifier.js'
import type { VerifyReport } from '../verify/verify-report.js'
import { lookedText, refuseDifferences, settledReport, settledText } from './compared-ends.js'
import { CutoverHook, type HookFacts } from './cutover-hook.js'
import { type Drained, FenceDrain } from './fence-drain.js'

export interface CutoverOptions {
  /** Keys that may be behind before the fence goes up. */
  readonly maxLag: number
  /** How long the lag may take to get there, and the target to catch up behind the fence, ms. */
  readonly timeoutMs: number
  /** Compare everything by value before the fence, and behind it what changed meanwhile. */
  readonly verify: boolean
  /** Keys that only the target has count, also those that were there before. */
  readonly strict: boolean
  /** `none`: writers were stopped in another way, or are not. */
  readonly fence: 'auto' | 'pause' | 'acl' | 'none'
  /** How long the fence stays up after all is done, ms. */
  readonly holdMs: number
  /** `keep-fence`: writers stay locked out of the source after all is done, until `cutover --release`. */
  readonly afterCutover: 'warn' | 'keep-fence'
  /** Shell command that moves the traffic; a failure calls the cutover off. */
  readonly hook?: string
  readonly hookTimeoutMs: number
  /** URL that gets the facts as JSON in place of, or after, the command. */
  readonly webhook?: string
  /** Find out what would happen; change nothing. */
  readonly dryRun: boolean
}

export const CUTOVER_DEFAULTS: CutoverOptions = {
  maxLag: 100,
  timeoutMs: 300_000,
  verify: false,
  strict: false,
  fence: 'auto',
  holdMs: 0,
  afterCutover: 'warn',
  hookTimeoutMs: 60_000,
  dryRun: false,
}

export interface CutoverResult {
  readonly dryRun: boolean
  /** From the fence going up to the moment when the target is the one to write to, ms. */
  readonly downtimeMs: number | null
  readonly fence: string
  readonly verification: VerifyReport | null
  /** Keys that were written to the source behind the fence and are not at the target; `more` when there are others. */
  readonly slipped: { readonly keys: readonly string[]; readonly more: boolean }
}

/** What a cutover needs of the migration that it ends. */
export interface CutoverSubject extends Drained {
  readonly source: Drained['source'] & Pick<Source, 'fence'>
  readonly lossless: boolean
  status(): HookFacts & ReturnType<Drained['status']>
  settle(): Promise<void>
  track(): Promise<ChangeTrack>
  untrack(): Promise<void>
  /** @throws MigrateError FM_TARGET_KEEPS_NOTHING when what was written last is not there */
  mustKeep(): Promise<void>
  /** From now on nothing is applied: changes that still come are only noted. */
  freeze(): Promise<ChangeTrack>
  /** Changes are applied again, from where they were frozen. */
  thaw(): Promise<void>
  /** True once everything up to this position was read, applied or not. */
  seen(shard: string, position: Position): boolean
  /** Calls with a verifier whose connections live as long as the call. */
  withVerifier<T>(rounds: number, use: (verifier: Pick<Verifier, 'run' | 'compareKeys'>) => Promise<T>): Promise<T>
  /** Mends keys that a lossy capture may have missed. */
  repair(report: VerifyReport): Promise<void>
  step(step: RequestStep): void
  readonly signal: AbortSignal
}

const LOOK_MS = 5
const REFRESH_MS = 1000
const LAST_KEYS = 500
/** Keys that slipped through a fence and are named. */
const SLIPPED_KEYS = 20
/** How long what the source holds may take to be read. */
const SEEN_MS = 5000
/** How long an event of a change may be on its way. */
const EVENTS_MS = 300
/** How long a wait may be before it is told. */
const TELL_MS = 1000
const SETTLE_MS = 50
/** What differed before the fence is equal behind it. */
const MENDED = { mismatched: 0, missingSource: 0, missingTarget: 0 }

/** Switches from source to target in steps; whatever fails, the fence comes down and the migration goes on. */
export class Cutover {
  private readonly subject: CutoverSubject
  private readonly options: CutoverOptions
  private fence: Fence | null = null
  private refreshing: NodeJS.Timeout | undefined
  private fencedAt = 0
  private releasing: Promise<void> | null = null
  /** Keys of changes that came after everything was applied. */
  private frozen: ChangeTrack | null = null
  /** Somebody does not want it any more. */
  private calledOff = false
  /** The traffic is being moved: it is too late to call it off. */
  private moving = false

  constructor(subject: CutoverSubject, options: CutoverOptions) {
    this.subject = subject
    this.options = options
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
      await this.awaitLag()
      await this.awaitEnds()
      const before = options.verify ? await this.compareBefore(track) : null
      this.mustGoOn()
      await this.putUp()
      this.step('drain', await new FenceDrain(subject, this.fence, options.timeoutMs, () => this.mustGoOn()).run())
      await subject.mustKeep()
      const last = await this.lastLook(track)
      this.mustGoOn()
      // The hook moves the traffic: what reaches the source from here on must not be written over what the target gets.
      this.moving = true
      this.frozen = await subject.freeze()
      await this.runHook()
      const downtimeMs = this.fencedAt === 0 ? null : Date.now() - this.fencedAt
      this.step(
        'done',
        downtimeMs === null
          ? 'the target is the one to write to'
          : `the target is the one to write to; writers were kept out for ${downtimeMs} ms`,
      )
      return {
        dryRun: false,
        downtimeMs,
        fence: this.fence?.kind ?? 'none',
        verification:
          before === null ? (subject.lossless ? null : last) : { ...before, ...MENDED, matching: before.compared },
        slipped: await this.slipped(),
      }
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
    if (afterCutover === 'keep-fence' && this.fence !== null) {
      clearInterval(this.refreshing)
      this.fence.keep?.()
      this.step(
        'keep-fence',
        `the fence stays up, as asked: ferrite-migrate cutover --id ${this.subject.status().id} --release takes it down`,
      )
      this.fence = null
    } else await this.release()
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
    // One that failed may be tried again.
    this.releasing ??= this.takeDown(why).catch((error: unknown) => {
      this.releasing = null
      throw error
    })
    return this.releasing
  }

  private async takeDown(why: string): Promise<void> {
    clearInterval(this.refreshing)
    const { fence } = this
    if (fence === null) return
    await fence.release()
    this.fence = null
    this.step('release', `the fence is down (${why})`)
  }

  /** Between steps: whoever wants to stop does not cut over. @throws MigrateError FM_INTERRUPTED, FM_CUTOVER_CALLED_OFF */
  private mustGoOn(): void {
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

  /** Compares everything before the fence, so that little is left to compare behind it. */
  private async compareBefore(track: ChangeTrack): Promise<VerifyReport> {
    const report = await this.subject.withVerifier(4, (verifier) => verifier.run())
    this.mustGoOn()
    const settled = settledReport(report, track)
    this.step('verify', settledText(report, settled))
    refuseDifferences(settled)
    await this.awaitLag()
    return settled
  }

  /** What was written to the source behind the fence, by the keys that came after everything was applied. */
  private async slipped(): Promise<CutoverResult['slipped']> {
    const { fence, frozen, subject } = this
    if (fence === null || frozen === null) return { keys: [], more: false }
    let unseen = false
    try {
      const now = await fence.positions()
      const deadline = Date.now() + SEEN_MS
      for (const [shard, position] of now) {
        while (!subject.seen(shard, position) && !frozen.resynced && Date.now() < deadline) await sleep(LOOK_MS)
        unseen ||= !subject.seen(shard, position) && !frozen.resynced
      }
      // Events tell no place: those of the last moment are waited for.
      if (!subject.lossless) await sleep(EVENTS_MS)
    } catch (error) {
      this.step('fence', `the source could not be asked whether the fence held: ${(error as Error).message}`)
    }
    const keys = frozen.keys(SLIPPED_KEYS).map(({ key }) => printableKey(key))
    if (frozen.resynced)
      this.step('fence', 'the source began anew behind the fence: what it holds now is not looked at, nor written')
    // Where events tell of changes, one may have been lost while the fence was down.
    const more = frozen.overflow || frozen.size > keys.length || unseen || (!subject.lossless && fence.fell())
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

  private step(name: string, text: string): void {
    this.subject.step({ at: Date.now(), name, text })
  }

  private async dryRun(): Promise<CutoverResult> {
    const { subject, options } = this
    await subject.readLag()
    const { lagKeys, lagBytes } = subject.status()
    this.step(
      'lag',
      `${lagKeys === null ? 'an unknown number of keys' : counted(lagKeys, 'key')} (${lagBytes === null ? 'unknown' : lagBytes.toLocaleString('en-US')} bytes) behind; at most ${options.maxLag} are allowed`,
    )
    if (options.verify)
      this.step(
        'verify',
        'everything would be compared by value before the fence, and behind it what changed meanwhile',
      )
    const fence = options.fence === 'none' ? null : await this.makeFence(true)
    this.step('fence', fence === null ? 'no fence: writers must be stopped by other means' : fence.note)
    this.step('drain', 'everything written before the fence would be applied, and the last keys compared')
    if (options.hook !== undefined || options.webhook !== undefined)
      this.step('hook', 'the hook would run; if it fails, the fence comes down and the migration goes on')
    this.step('done', 'dry run: nothing was changed')
    return {
      dryRun: true,
      downtimeMs: null,
      fence: fence?.kind ?? 'none',
      verification: null,
      slipped: { keys: [], more: false },
    }
  }

  private async awaitLag(): Promise<void> {
    const { subject, options } = this
    const deadline = Date.now() + options.timeoutMs
    let told = false
    for (;;) {
      this.mustGoOn()
      await subject.readLag()
      const { lagKeys } = subject.status()
      if (lagKeys !== null && lagKeys <= options.maxLag) {
        this.step('lag', `${counted(lagKeys ?? 0, 'key')} behind, at most ${options.maxLag} are allowed`)
        return
      }
      if (!told && Date.now() > deadline - options.timeoutMs + TELL_MS) {
        told = true
        this.step(
          'wait',
          `${lagKeys === null ? 'the source does not tell how much is behind' : `${counted(lagKeys, 'key')} behind, more than ${options.maxLag}`}: waiting up to ${options.timeoutMs / 1000} s`,
        )
      }
      if (Date.now() > deadline || subject.signal.aborted)
        throw new MigrateError(
          'FM_CUTOVER_LAG',
          `${lagKeys === null ? 'an unknown number of keys are' : counted(lagKeys, 'key is', 'keys are')} behind, more than ${options.maxLag}`,
          'Wait for a quieter time, or allow more with --max-lag or --timeout.',
        )
      await sleep(20)
    }
  }

  /** Until every key has its own end at the target. */
  private async awaitEnds(): Promise<void> {
    const deadline = Date.now() + this.options.timeoutMs
    const settled = this.subject.settle().then(() => true)
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

  private makeFence(check: boolean): Promise<Fence> {
    const { source } = this.subject
    const { fence } = this.options
    if (source.fence === undefined || fence === 'none')
      throw new MigrateError(
        'FM_FENCE_UNAVAILABLE',
        'this source knows no way to keep writers out',
        'Stop the writers yourself and give --fence none.',
      )
    // Only a rule outlives this process.
    return source.fence(fence === 'auto' && this.options.afterCutover === 'keep-fence' ? 'acl' : fence, check)
  }

  private async putUp(): Promise<void> {
    if (this.options.fence === 'none') {
      this.step('fence', 'no fence, as asked: what is written to the source from now on may be lost')
      return
    }
    this.fencedAt = Date.now()
    const fence = await this.makeFence(false)
    this.fence = fence
    let refreshing = false
    this.refreshing = setInterval(() => {
      if (refreshing) return
      refreshing = true
      void fence
        .refresh()
        .catch(() => undefined)
        .finally(() => {
          refreshing = false
        })
    }, REFRESH_MS)
    this.step('fence', fence.note)
  }

  /** Behind the fence both ends stand still: what changed since the comparison, or at least the last keys, must be equal. */
  private async lastLook(track: ChangeTrack): Promise<VerifyReport> {
    const { subject, options } = this
    const whole = (options.verify && track.overflow) || !subject.lossless
    let report = await subject.withVerifier(2, (verifier) =>
      whole ? verifier.run() : verifier.compareKeys(track.keys(options.verify ? undefined : LAST_KEYS)),
    )
    // A look that was ended says nothing.
    this.mustGoOn()
    if (!report.equal && !subject.lossless) {
      await subject.repair(report)
      report = await subject.withVerifier(2, (verifier) => verifier.run())
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
}
