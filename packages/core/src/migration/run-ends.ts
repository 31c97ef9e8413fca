import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Contents,
  type Finding,
  type Logger,
  MigrateError,
  type Source,
  type Target,
} from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { redactUrl } from '../config/secrets.js'
import { closeAdapter } from '../ends/close-adapter.js'
import { contentFindings } from '../ends/content-findings.js'
import { chooseDatabases, type DatabaseChoice } from '../ends/databases.js'
import { openEnds } from '../ends/open-ends.js'
import { makePlan, type Plan } from '../ends/plan.js'
import { readTargetValues } from '../ends/read-target-values.js'
import { sameServer } from '../ends/same-server.js'
import { SourceGuard } from '../ends/source-guard.js'
import { workerFindings } from '../ends/worker-findings.js'
import { RecordFilter } from '../records/key-filter.js'
import type { KnownValues } from '../records/known-values.js'
import { FaultFile } from '../transform/fault-file.js'
import { databases, openTransform } from '../transform/open-transform.js'
import { NO_TRANSFORM, type RecordTransform } from '../transform/record-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import type { Runner } from '../workers/runner.js'
import type { RunRecord } from './run-record.js'
import type { RunStatus } from './run-status.js'

/** How long a target may take to note that this process writes no more. */
const SIGN_OFF_MS = 5000

/** What a run is opened with. */
export interface RunEndsNeeds {
  readonly id: string
  readonly config: ResolvedConfig
  readonly registry: Registry
  readonly logger: Logger
  readonly status: RunStatus
  /** Ends the opening. */
  readonly signal: AbortSignal
}

/** Both ends of a run and what lies between them: opened, looked at, and closed in the end. */
export class RunEnds {
  /** The database map and filter are completed by what the addresses of both ends name. */
  config: ResolvedConfig
  filter: RecordFilter
  /** The one database of the source whose keys may be written; null = any. */
  onlyDb: number | null = null
  transform: RecordTransform = NO_TRANSFORM
  targetKeys: TargetKeys
  readonly faults: FaultFile
  source: Source | null = null
  target: Target | null = null
  private guard: SourceGuard | null = null
  private readonly needs: RunEndsNeeds
  private readonly tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))

  constructor(needs: RunEndsNeeds) {
    this.needs = needs
    this.config = needs.config
    this.filter = new RecordFilter(this.config.filter)
    this.targetKeys = new TargetKeys(this.filter, this.transform)
    this.faults = new FaultFile(this.config.errorsFile, needs.id)
  }

  /**
   * Opens both ends, checks them and says what would be done.
   * @param record null = nothing is written down
   * @param runner null = shards are run on this machine
   */
  async open(record: RunRecord | null, runner: Runner | null = null): Promise<Plan> {
    const context = {
      logger: this.needs.logger,
      signal: this.needs.signal,
      tempDir: this.tempDir,
      migration: this.needs.id,
      ...(record === null ? {} : { ledger: record.ledger() }),
    }
    // A wrong rule or script is found before any server is asked.
    await this.openTransform(context)
    const [source, target] = await this.connect(context, record)
    for (const what of (await record?.putBack(source)) ?? [])
      this.needs.status.note('put-back', `put back: ${what} and did not live to put back`)
    const checks = await Promise.all([source.preflight?.(), target.preflight?.()])
    const contents = (await source.contents?.()) ?? null
    const sizes = contents?.databases ?? (await this.countSourceKeys(source))
    const choice = await chooseDatabases(this.config, source, target, sizes)
    this.takeDatabases(choice)
    const same = await sameServer(source, target)
    this.refuseUnverifiable(source)
    const findings = [
      ...(same === null ? [] : [same]),
      ...checks.flatMap((list) => list ?? []),
      ...choice.findings,
      ...workerFindings(this.config.workers, source, this.transform, runner !== null),
      ...((await runner?.preflight(source, target, this.config)) ?? []),
      ...(contents === null ? [] : contentFindings(contents, target.dialect, this.config)),
    ]
    const again = (record?.former ?? null) !== null
    const said = findings.filter((finding) => this.applies(finding, contents, again))
    const plan = this.planFor(source, said, contents?.keys ?? (sizes === null ? null : this.countTaken(sizes)))
    for (const finding of plan.findings)
      this.needs.logger.log(finding.level === 'info' ? 'info' : 'warn', finding.text, { code: finding.code })
    return plan
  }

  /** The same source by another way. */
  async change(source: Source): Promise<void> {
    const former = this.source
    this.take(source)
    await former?.[Symbol.asyncDispose]()
    if (this.guard === null) return
    this.guard.stop()
    this.watch()
  }

  /** From now on the source is spared where it is busy. */
  watch(): void {
    const { maxSourceCpu, maxSourceLatencyMs } = this.config
    this.guard = new SourceGuard(this.source!, maxSourceCpu / 100, maxSourceLatencyMs, (text) =>
      this.needs.status.note('guard', text),
    )
    this.guard.start()
  }

  /** How long to rest before more of the snapshot is read, ms. */
  pace(): number {
    return this.guard?.pace() ?? 0
  }

  /** The package that the source is from. */
  get plugin(): string {
    return this.needs.registry.pluginOf('source', this.config.source)
  }

  planFor(source: Source, findings: readonly Finding[], keys: number | null): Plan {
    const { needsValue } = this.filter
    const plugins = this.needs.registry.uses
    const plan = makePlan(this.config, source, this.target!, findings, needsValue, this.transform, keys, plugins)
    this.needs.status.plan = plan
    return plan
  }

  /** What it brings changes of: who brings the same as well would make each of them twice. */
  copies(): { readonly copies?: string } {
    if (this.config.mode === 'snapshot' || this.source?.capabilities.changes === 'none') return {}
    const { filter, dbMap, transform, transformScript, source } = this.config
    const what = JSON.stringify([this.source?.identity ?? redactUrl(source), filter, dbMap, transform, transformScript])
    return { copies: createHash('sha256').update(what).digest('hex').slice(0, 32) }
  }

  async targetIsEmpty(): Promise<boolean> {
    const reader = this.target!.reader()
    try {
      for await (const page of reader.keys())
        if (page.some(({ db, key }) => this.targetKeys.takesKey(db, key))) return false
      return true
    } finally {
      await reader.close()
    }
  }

  /** What the target holds, where it tells at once; null = each key has to be asked for. */
  readTargetValues(): Promise<KnownValues | null> {
    const { registry, logger, signal } = this.needs
    return readTargetValues(this.config, registry, { logger, signal, tempDir: this.tempDir })
  }

  stopGuard(): void {
    this.guard?.stop()
  }

  /** This process writes no more: whoever looks at the target sees it. */
  async signOff(): Promise<void> {
    const done = this.target?.release?.(this.needs.id).catch(() => undefined) ?? Promise.resolve()
    await Promise.race([done, sleep(SIGN_OFF_MS, undefined, { ref: false })])
  }

  async close(): Promise<void> {
    this.faults.close()
    await this.transform.close()
    const { logger } = this.needs
    await closeAdapter('source', this.source, logger)
    await closeAdapter('target', this.target, logger)
    rmSync(this.tempDir, { recursive: true, force: true })
  }

  private async openTransform(context: Parameters<typeof openTransform>[2]): Promise<void> {
    const { config } = this
    const { progress } = this.needs.status
    this.transform = await openTransform(config, this.needs.registry, context, (fault) => {
      if (config.onTransformError === 'pass') progress.passOver(fault.key)
      else progress.leaveOut('value that could not be transformed', fault.key)
      this.faults.add(fault)
    })
    if (this.transform.changesValues && config.onTransformError !== 'fail') this.faults.check()
    this.targetKeys = new TargetKeys(this.filter, this.transform)
  }

  private async connect(
    context: Parameters<typeof openEnds>[2],
    record: RunRecord | null,
  ): Promise<readonly [Source, Target]> {
    const ends = await openEnds(this.config, this.needs.registry, context)
    // Whichever opened is kept, so that it is closed when the other fails.
    if (!(ends.source instanceof Error)) this.take(ends.source)
    if (!(ends.target instanceof Error)) this.target = ends.target
    if (ends.source instanceof Error) throw ends.source
    if (ends.target instanceof Error) throw ends.target
    // A run that has met what its stream cannot tell goes on by keys.
    if (record?.former?.facts.byKeys && ends.source.byKeys !== undefined) await this.change(await ends.source.byKeys())
    return [this.source ?? ends.source, ends.target]
  }

  private take(source: Source): void {
    this.source = source
    this.needs.status.source = source
  }

  /** A verification that was asked for and cannot be made is refused before anything is written. */
  private refuseUnverifiable(source: Source): void {
    const { verify, mode } = this.config
    if (!verify || source.reader !== undefined) return
    if (mode === 'snapshot' && !source.capabilities.readOnce) return
    throw new MigrateError(
      'FM_VERIFY_UNSUPPORTED',
      source.capabilities.readOnce
        ? 'what can be read only once cannot be compared afterwards'
        : 'this source has no values of its own to compare with',
      'Leave --verify out and compare otherwise (verify, compare); an append-only file has values with --rebuild.',
    )
  }

  /** A finding is said only where it matters, and what the contents tell exactly is not said in general as well. */
  private applies({ only, code }: Finding, contents: Contents | null, again: boolean): boolean {
    if (only === 'changes' && this.config.mode === 'snapshot') return false
    if (contents !== null && (code === 'target-hyperloglog' || code === 'target-field-ttl')) return false
    return !(code === 'target-not-empty' && again)
  }

  private takeDatabases({ filter, dbMap, only }: DatabaseChoice): void {
    this.config = { ...this.config, filter, dbMap }
    this.onlyDb = only
    this.filter = new RecordFilter(filter)
    this.transform = this.transform.withDatabases(databases(dbMap))
    this.targetKeys = new TargetKeys(this.filter, this.transform)
  }

  /** Keys per database of the source; null = it does not tell. */
  private async countSourceKeys(source: Source): Promise<ReadonlyMap<number, number> | null> {
    const reader = source.reader?.()
    if (reader === undefined) return null
    try {
      return await reader.size()
    } finally {
      await reader.close()
    }
  }

  private countTaken(sizes: ReadonlyMap<number, number>): number {
    let keys = 0
    for (const [db, size] of sizes) if (this.filter.takesDb(db)) keys += size
    return keys
  }
}
