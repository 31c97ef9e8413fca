import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { Cutover, type CutoverResult } from '../cutover/cutover.js'
import { CUTOVER_DEFAULTS, type CutoverOptions } from '../cutover/cutover-options.js'
import { ChangeTrack } from '../engine/changes/change-track.js'
import type { RunningShards } from '../engine/running-shards.js'
import type { RequestStep } from '../state/requests.js'
import type { RunComparison } from './run-comparison.js'
import type { RunEnds } from './run-ends.js'
import type { RunPulse } from './run-pulse.js'
import type { RunSignals } from './run-signals.js'
import type { RunStatus } from './run-status.js'

/** How long a fence may take to come down when everything is given up. */
const ABANDON_MS = 5000

/** What of a run is switched over, and whom it tells. */
export interface LiveCutoverNeeds {
  readonly ends: RunEnds
  readonly status: RunStatus
  readonly signals: RunSignals
  readonly pulse: RunPulse
  readonly comparison: RunComparison
  /** What follows the source now; null = nothing does. */
  engine(): RunningShards | null
  /** Resolves when it follows the source no more. */
  engineOver(): Promise<unknown>
  onStep(step: RequestStep): void
}

/** Switching a live run over: one attempt at a time, after which the run is over or goes on as before. */
export class LiveCutover {
  result: CutoverResult | null = null
  private readonly needs: LiveCutoverNeeds
  private work: Promise<unknown> | null = null
  private running: Cutover | null = null

  constructor(needs: LiveCutoverNeeds) {
    this.needs = needs
  }

  get isRunning(): boolean {
    return this.work !== null
  }

  /** Waits for the attempt that is under way, whatever comes of it. */
  async end(): Promise<void> {
    await this.work
  }

  /** @throws MigrateError FM_CUTOVER_*, FM_FENCE_*, FM_VERIFY_DIFFERENCES */
  async run(options: Partial<CutoverOptions>, onStep?: (step: RequestStep) => void): Promise<CutoverResult> {
    const { ends, status } = this.needs
    const wanted: CutoverOptions = {
      ...CUTOVER_DEFAULTS,
      maxLag: ends.config.cutoverMaxLag,
      verify: ends.config.verify && ends.source?.reader !== undefined,
      ...options,
    }
    const engine = this.needs.engine()
    if (status.phase !== 'LIVE_SYNC' || engine === null || this.work !== null)
      throw this.refused(
        'FM_CUTOVER_NOT_LIVE',
        `a cutover is possible in LIVE_SYNC; the migration is in ${status.phase}`,
        'Wait until status says LIVE_SYNC, or go on with an interrupted migration by migrate --resume.',
      )
    if (status.now().paused)
      throw this.refused(
        'FM_CUTOVER_PAUSED',
        'the migration is paused: what its source writes is not applied, and never comes near enough',
        'Let it go on first (resume), then cut over.',
      )
    const work = this.switchOver(engine, wanted, onStep)
    status.cuttingOver = true
    this.work = work.catch(() => undefined)
    try {
      return await work
    } finally {
      this.work = null
      status.cuttingOver = false
    }
  }

  /** Whoever scheduled it is not there to be told. */
  private refused(code: `FM_${string}`, message: string, hint: string): MigrateError {
    const { status } = this.needs
    status.record?.event('cutover-failed', `${code} ${message}`)
    status.send('cutover', `the cutover did not begin: ${message}`)
    return new MigrateError(code, message, hint)
  }

  /** Ends a cutover that has not reached its last step; false when there is none, or it has. */
  callOff(): boolean {
    return this.needs.status.phase === 'CUTOVER' && (this.running?.callOff() ?? false)
  }

  /** What keeps writers out of the source comes down, and nothing else is waited for. Never throws. */
  async abandon(): Promise<void> {
    const released = this.running?.release('given up').catch(() => undefined) ?? Promise.resolve()
    await Promise.race([released, sleep(ABANDON_MS, undefined, { ref: false })])
  }

  private async switchOver(
    engine: RunningShards,
    options: CutoverOptions,
    onStep?: (step: RequestStep) => void,
  ): Promise<CutoverResult> {
    const { status, signals, comparison } = this.needs
    const cutover = this.make(engine, options, onStep)
    if (options.dryRun) return cutover.run()
    this.running = cutover
    status.enter('CUTOVER')
    status.send('cutover', 'the cutover starts')
    try {
      this.result = await cutover.run()
      status.record?.addFacts({ handedOver: true })
      if (this.result.verification !== null) comparison.take(this.result.verification)
      this.result = await cutover.hold(this.result, signals.stopping)
      // Nothing that is written to the source from now on belongs to the target any more.
      signals.endPass()
      await this.needs.engineOver().catch(() => undefined)
      return this.result
    } catch (error) {
      const text = error instanceof MigrateError ? `${error.code} ${error.message}` : String(error)
      status.note('cutover-failed', `the cutover was called off, the migration goes on: ${text}`)
      status.send('cutover', `the cutover was called off: ${text}`)
      if (!signals.reading.aborted) status.enter('LIVE_SYNC')
      throw error
    }
  }

  private make(engine: RunningShards, options: CutoverOptions, onStep?: (step: RequestStep) => void): Cutover {
    const { ends, status, signals, pulse, comparison } = this.needs
    const source = ends.source!
    return new Cutover(
      {
        source,
        lossless: source.capabilities.changes === 'lossless',
        status: () => status.now(),
        readLag: () => pulse.readLag(),
        applied: (shard) => status.applied.get(shard),
        unsettled: () => status.progress.lag.unsettled ?? 0,
        settle: () => engine.settle(),
        track: async () => {
          const track = new ChangeTrack()
          await engine.track(track)
          return track
        },
        untrack: () => engine.track(null),
        mustKeep: () => engine.mustKeep(),
        freeze: () => engine.freeze(),
        thaw: () => engine.thaw(),
        seen: (shard, position) => engine.seen(shard, position),
        withVerifier: async (rounds, use) => {
          const both = await comparison.of(options.strict || ends.config.strict)
          return both.withVerifier(rounds, signals.reading, use)
        },
        repair: (report) => {
          // What only the target has is known by its name there, which the source cannot be asked for.
          const { renames } = ends.transform
          const known = report.differences.filter(({ kind }) => !(renames && kind === 'missing-source'))
          return engine.repair(known.map(({ db, keyBase64 }) => ({ db, key: Buffer.from(keyBase64, 'base64') })))
        },
        step: (step) => {
          status.record?.event(`cutover-${step.name}`, step.text)
          this.needs.onStep(step)
          onStep?.(step)
        },
        signal: signals.reading,
      },
      options,
    )
  }
}
