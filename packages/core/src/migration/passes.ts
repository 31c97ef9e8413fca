import { setTimeout as sleep } from 'node:timers/promises'
import { counted, type Logger, MigrateError, type RunClaim } from '@ferrite-migrate/contracts'
import type { FoundPlugin } from '../adapters/registry.js'
import type { Plan } from '../ends/plan.js'
import type { Resumed } from '../engine/checkpoints.js'
import { Engine } from '../engine/engine.js'
import type { ShardEvent, ShardPhase } from '../engine/events/shard-event.js'
import { ShardPhases } from '../engine/events/shard-phases.js'
import { ErrorRate } from '../engine/lanes/error-rate.js'
import type { Gate } from '../engine/lanes/gate.js'
import type { RunningShards } from '../engine/running-shards.js'
import { KnownDatabases } from '../engine/snapshot/known-databases.js'
import { findForeign } from '../engine/target-content/find-foreign.js'
import type { ForeignKeys } from '../engine/target-content/foreign-keys.js'
import { journaled, TargetRecorder } from '../rollback/journaled-target.js'
import type { Runner } from '../workers/runner.js'
import { WorkerProcess } from '../workers/worker-process.js'
import { WorkerShards } from '../workers/worker-shards.js'
import type { LiveCutover } from './live-cutover.js'
import { PassSchedule } from './pass-schedule.js'
import type { RunComparison } from './run-comparison.js'
import type { RunEnds } from './run-ends.js'
import type { RunPulse } from './run-pulse.js'
import type { RunRecord } from './run-record.js'
import type { RunSignals } from './run-signals.js'
import type { RunStatus } from './run-status.js'

const LOOK_MS = 20
/** The longest that a timer can be set to, ms. */
const LONGEST_MS = 2 ** 31 - 1

/** What passes run with, and what goes on beside them. */
export interface PassesNeeds {
  readonly id: string
  readonly ends: RunEnds
  readonly status: RunStatus
  readonly signals: RunSignals
  readonly gate: Gate
  readonly logger: Logger
  readonly pulse: RunPulse
  readonly comparison: RunComparison
  readonly cutover: LiveCutover
  /** Where the adapters are, for other processes. */
  readonly plugins: readonly FoundPlugin[]
  /** Where the state is. */
  directory(): string
  /** What runs the shards on other machines; null = this machine does. */
  runner(): Runner | null
}

/** The passes of a run over its source: one, or in incremental mode one after the other. */
export class Passes {
  /** What follows the source now; null = nothing does. */
  engine: RunningShards | null = null
  /** Resolves when it follows the source no more. */
  over: Promise<unknown> = Promise.resolve()
  private readonly needs: PassesNeeds
  private readonly schedule: PassSchedule
  private readonly errorRate: ErrorRate | null
  private recorder: TargetRecorder | null = null
  private claim: RunClaim = { epoch: 0, owner: '' }
  /** How the source answered at last. */
  private sync: 'full' | 'partial' = 'full'

  constructor(needs: PassesNeeds) {
    this.needs = needs
    const { intervalMs, schedule, autoRollback, rollbackOnErrorRate } = needs.ends.config
    this.schedule = new PassSchedule(intervalMs, schedule)
    this.errorRate = autoRollback ? new ErrorRate(rollbackOnErrorRate ?? 1) : null
  }

  /** Runs to the end; a source whose stream holds a value of an unknown type is read key by key instead, where it offers that. */
  async run(record: RunRecord, plan: Plan, claim: RunClaim): Promise<void> {
    this.claim = claim
    const { ends, status, signals, id } = this.needs
    const { former } = record
    const inSnapshot = ends.config.mode === 'snapshot'
    const held = former !== null && record.facts.held ? { from: former.createdAt, to: Date.now() } : null
    if (record.journal !== null && !this.apart)
      this.recorder = new TargetRecorder(ends.target!, record.journal, ends.targetKeys)
    // Workers of a queue go on while nobody follows them: each ends the one before it.
    if (former !== null && this.needs.runner() === null) await ends.target!.takeOver?.(id)
    try {
      await this.runAll(record, plan, former === null ? null : { positions: record.positions(), held, inSnapshot })
    } catch (error) {
      const unknown = error instanceof MigrateError && error.code === 'FM_RDB_UNKNOWN' && !signals.wantsStop
      if (!unknown || ends.source?.byKeys === undefined) throw error
      status.note('by-keys', `${error.message}: the source is read key by key instead, and what has changed as well`)
      record.addFacts({ byKeys: true })
      await ends.change(await ends.source.byKeys())
      const again = ends.planFor(ends.source, plan.findings, plan.keys)
      await this.runAll(record, again, { positions: new Map(), held: null, inSnapshot })
    }
  }

  async close(): Promise<void> {
    await this.recorder?.close()
  }

  /** Shards are run by other processes. */
  private get apart(): boolean {
    return this.needs.ends.config.workers > 0 || this.needs.runner() !== null
  }

  private async runAll(record: RunRecord, plan: Plan, from: Resumed | null): Promise<void> {
    const { ends, signals, cutover, id } = this.needs
    if (ends.config.mode === 'incremental') return this.repeat(record, plan, from)
    await this.runPass(record, plan, from)
    await cutover.end()
    if (!signals.wantsStop || cutover.result !== null)
      for (const shard of ends.source!.shards) await ends.target!.forget(id, shard.id)
  }

  /** One pass after the other, until somebody stops it or one was all that was wanted. */
  private async repeat(record: RunRecord, plan: Plan, from: Resumed | null): Promise<void> {
    const { ends, status, signals } = this.needs
    let resumed = from
    for (;;) {
      const startedAt = Date.now()
      const { written, deleted, changesApplied } = status.progress
      await this.runPass(record, plan, resumed)
      const pass = record.addPass({
        startedAt,
        endedAt: Date.now(),
        sync: this.sync,
        written: status.progress.written - written,
        deleted: status.progress.deleted - deleted,
        changes: status.progress.changesApplied - changesApplied,
      })
      status.note(
        'pass',
        `pass ${pass.number}: ${pass.sync === 'partial' ? 'from the backlog of the source' : 'everything compared'}, ${counted(pass.changes, 'change')}, ${pass.written} written, ${pass.deleted} deleted, ${pass.endedAt - pass.startedAt} ms`,
      )
      if (ends.config.once || signals.wantsStop) return
      status.enter('WAITING')
      status.save()
      const next = this.schedule.next(startedAt, Date.now())
      await sleep(Math.min(next - Date.now(), LONGEST_MS), undefined, { signal: signals.stopping }).catch(
        () => undefined,
      )
      if (signals.wantsStop) return
      resumed = { positions: new Map(status.applied), held: null, inSnapshot: false }
    }
  }

  private async runPass(record: RunRecord, plan: Plan, resumed: Resumed | null): Promise<void> {
    const { ends, signals, status, comparison } = this.needs
    // Workers find out for themselves, each before it writes.
    const foreign = this.apart
      ? null
      : await findForeign({
          ...{ config: ends.config, target: ends.target!, targetKeys: ends.targetKeys, journal: record.journal },
          targetWasEmpty: record.facts.targetWasEmpty !== false,
          resumed: resumed !== null,
          onNote: (type, text) => status.note(type, text),
        })
    signals.beginPass()
    status.tally.begin(ends.source!.shards.map(({ id: shard }) => shard))
    const engine = this.apart
      ? await this.makeWorkers(record, plan, resumed)
      : this.makeEngine(record, plan, resumed, foreign)
    this.engine = engine
    status.enter('INITIAL_SYNC')
    const done = new AbortController()
    this.over = engine.run().finally(() => done.abort())
    const tasks: Promise<unknown>[] = [this.over]
    const { mode, exit, verify } = ends.config
    if (mode === 'incremental' || (mode === 'live' && (exit || verify)))
      tasks.push(this.endWhenCaughtUp(engine, done.signal))
    try {
      await Promise.all(tasks)
    } catch (error) {
      signals.endPass()
      await Promise.allSettled(tasks)
      throw error
    } finally {
      this.engine = null
    }
    if (mode === 'snapshot' && verify && !signals.wantsStop) await comparison.run(signals.reading)
    if (!signals.wantsStop) record.addFacts({ held: false })
  }

  private async makeWorkers(record: RunRecord, plan: Plan, resumed: Resumed | null): Promise<WorkerShards> {
    const { ends, signals, status, gate, logger, id, plugins } = this.needs
    const { source, config, onlyDb } = ends
    const { shards } = source!
    const runner = this.needs.runner()
    // Nobody follows such a copy: what goes from shard to shard meanwhile is found only by who reads all of them.
    const whole = runner !== null && config.mode === 'snapshot' && source!.capabilities.together === true
    const count = runner === null ? Math.min(config.workers, shards.length) : whole ? 1 : shards.length
    const phases = new ShardPhases(shards.map(({ id: shard }) => shard))
    const task = {
      version: 1 as const,
      ...{ migration: id, plugins, directory: this.needs.directory(), onlyDb, claim: this.claim, apply: plan.apply },
      shards: shards.map(({ id: shard }) => shard),
      // What all may write together is shared out.
      config: { ...config, maxRate: Math.ceil(config.maxRate / count) },
      lanes: Math.ceil(plan.lanes / count),
      byKeys: record.facts.byKeys ?? false,
      journal: record.isJournaled,
      targetWasEmpty: record.facts.targetWasEmpty ?? false,
      resumed: resumed && { ...resumed, positions: Object.fromEntries(resumed.positions) },
      ...(whole ? { whole } : {}),
    }
    if (runner !== null) {
      // None is read here; those that come are known.
      source!.apart?.([])
      const begun = await runner.begin({ ...task, paused: gate.paused }, (shard) => workers.join(shard))
      if (begun.paused) gate.pause()
      status.progress.recount(begun.counted)
    }
    const workers: WorkerShards = new WorkerShards({
      ...{
        task,
        workers: runner === null ? count : shards.length,
        shards,
        applied: status.applied,
        progress: status.progress,
        logger,
      },
      start: (one, listener) => (runner === null ? new WorkerProcess(one, listener) : runner.start(one, listener)),
      ...(runner === null ? {} : { order: (orders) => runner.order(orders) }),
      patient: runner !== null,
      startedAt: status.startedAt,
      isPaused: () => gate.paused,
      signal: signals.reading,
      stopping: signals.stopping,
      tell: (event) => this.hear(event, record, phases),
    })
    return workers
  }

  private makeEngine(record: RunRecord, plan: Plan, resumed: Resumed | null, foreign: ForeignKeys | null): Engine {
    const { ends, signals, status, gate, logger, id } = this.needs
    const { source, target, config, filter, transform, targetKeys, onlyDb } = ends
    const phases = new ShardPhases(source!.shards.map(({ id: shard }) => shard))
    return new Engine({
      id,
      config,
      onlyDb,
      apply: plan.apply,
      lanes: plan.lanes,
      plugin: ends.plugin,
      source: source!,
      target: this.recorder === null ? target! : journaled(target!, this.recorder),
      filter,
      transform,
      targetKeys,
      progress: status.progress,
      logger,
      signal: signals.reading,
      stopping: signals.stopping,
      targetWasEmpty: record.facts.targetWasEmpty ?? false,
      foreign,
      wrote: (db, key) => record.journal?.has(db, key) ?? false,
      databases: knownDatabases(record),
      resumed,
      targetValues: () => ends.readTargetValues(),
      gate,
      errorRate: this.errorRate,
      admit: () => record.lease.check(),
      pace: () => ends.pace(),
      tell: (event) => this.hear(event, record, phases),
    })
  }

  /** What the shards tell. */
  private hear(event: ShardEvent, record: RunRecord, phases: ShardPhases): void {
    const { status } = this.needs
    status.tally.hear(event)
    switch (event.kind) {
      case 'synced':
        this.sync = event.mode
        break
      case 'joined':
        phases.join(event.shard)
        status.note('shard', `the source has a new shard: ${event.shard}`)
        break
      case 'left':
        status.note('shard', `the source has no shard ${event.shard} any more`)
        this.enter(phases.leave(event.shard))
        break
      case 'phase':
        this.enter(phases.enter(event.shard, event.phase))
        break
      case 'position':
        status.applied.set(event.shard, event.position)
        break
      case 'held':
        record.addFacts({ held: true })
        break
      case 'note':
        status.note(event.type, event.text)
    }
  }

  private enter(phase: ShardPhase | null): void {
    const { status, ends, pulse } = this.needs
    // Nobody is to read for a second that it is unknown.
    if (phase === 'LIVE_SYNC') void pulse.readLag()
    // Nothing follows a copy that ends with its snapshot.
    if (phase !== null && (phase !== 'LIVE_SYNC' || ends.config.mode !== 'snapshot')) status.enter(phase)
  }

  /** Live mode that ends by itself: waits for the lag to go, verifies while the stream goes on, then stops reading. */
  private async endWhenCaughtUp(engine: RunningShards, over: AbortSignal): Promise<void> {
    const { ends, status, signals, comparison } = this.needs
    const { config } = ends
    const isOver = (): boolean => over.aborted || signals.wantsStop
    while (status.phase !== 'LIVE_SYNC') {
      if (isOver()) return
      await sleep(LOOK_MS)
    }
    if (!(await this.catchUp(engine, isOver))) return
    await engine.settle()
    if (config.verify) await comparison.run(over)
    if (config.exit || config.mode === 'incremental') signals.endPass()
  }

  /** Resolves when little enough is behind; false = it is over before. */
  private async catchUp(engine: RunningShards, isOver: () => boolean): Promise<boolean> {
    const { ends, status, pulse } = this.needs
    const untilLag = ends.config.untilLag ?? 0
    let goal = Number.POSITIVE_INFINITY
    for (;;) {
      if (isOver()) return false
      await pulse.readLag()
      const { lag, changeBytes } = status.progress
      if ((lag.unsettled ?? 0) > 0) {
        // What is applied meanwhile brings these no nearer.
        goal = Number.POSITIVE_INFINITY
        await sleep(LOOK_MS)
        continue
      }
      if ((lag.keys ?? Number.POSITIVE_INFINITY) <= untilLag) return true
      // Where nobody can tell what is behind, having compared everything once more is as near as it gets.
      if (lag.keys === undefined && lag.bytes === undefined && engine.sweeps > 0) return true
      // Under a writer the lag is never nothing: what was there at one moment being applied is as good. What was applied
      // between the source's answer and this line makes the goal too high, so it is lowered with every look.
      if (lag.bytes !== undefined) goal = Math.min(goal, changeBytes + lag.bytes)
      if (untilLag === 0 && changeBytes >= goal) return true
      await sleep(LOOK_MS)
    }
  }
}

/** Those that a former run and this one have read from; of a run that kept none nobody knows. */
function knownDatabases(record: RunRecord): KnownDatabases | null {
  const { readDatabases } = record.facts
  if (readDatabases === undefined) return null
  return new KnownDatabases(readDatabases, (all) => record.noteReadDatabases(all))
}
