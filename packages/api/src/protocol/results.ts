import type { ToldError } from '@ferrite-migrate/contracts'
import type {
  CutoverResult,
  MigrationStatus,
  NumberedEvent,
  Pass,
  Phase,
  Plan,
  RequestStep,
  Sample,
  StoredReport,
  VerifyReport,
} from '@ferrite-migrate/core'

/** What `initialize` answers. */
export interface Initialized {
  readonly protocolVersion: number
  readonly name: string
  readonly version: string
  /** Version of Node that runs the tool. */
  readonly node: string
  /** Where migrations are kept. */
  readonly stateDir: string
  /** Names of all methods. */
  readonly methods: readonly string[]
}

/** Where a migration stands, with what every client would work out of it. */
export interface ApiStatus extends MigrationStatus {
  /** Of the first copy, in percent with one decimal; 100 once changes are followed; null = the source does not tell how much there is. */
  readonly progress: number | null
  /** Keys or changes behind; null = unknown. */
  readonly lag: number | null
  /** The run is over, or everything was copied and the target follows so closely that a cutover may begin. */
  readonly complete: boolean
}

export interface PlanResult {
  readonly plan: Plan
  /** A check refuses the run: `findings` of level `fail` say why. */
  readonly refused: boolean
}

export interface StartResult {
  readonly id: string
}

/** A comparison, with its outcome in a word. */
export interface ApiVerifyReport extends VerifyReport {
  /** `passed`: all that was asked for was compared, and is the same. `incomplete`: it was ended before. */
  readonly status: 'passed' | 'differences' | 'incomplete'
  /** The same as `status` being `passed`. */
  readonly success: boolean
}

export interface CancelResult {
  /** False: there was nothing to call off, or it was too late. */
  readonly cancelled: boolean
}

export interface CutoverAnswer extends CutoverResult {
  readonly steps: readonly RequestStep[]
}

/** What is known of a migration beside its status. */
export interface ReportResult {
  readonly status: ApiStatus
  /** Null = none was made. */
  readonly plan: Plan | null
  /** Null = none was written yet. */
  readonly report: StoredReport | null
  readonly passes: readonly Pass[]
}

export interface ListResult {
  /** Newest first. */
  readonly migrations: readonly ApiStatus[]
}

export interface EventsResult {
  readonly events: readonly NumberedEvent[]
}

export interface SamplesResult {
  readonly samples: readonly Sample[]
}

export interface MetricsResult {
  readonly samples: readonly MetricValue[]
}

/** A value of a metric; docs/metrics.md has the names. */
export interface MetricValue {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** About once a second while a migration runs that is watched. */
export interface ProgressNotice {
  readonly id: string
  readonly status: ApiStatus
}

/** It entered another phase; the last is COMPLETED, FAILED, INTERRUPTED or ROLLED_BACK. */
export interface PhaseNotice {
  readonly id: string
  readonly phase: Phase
  /** ms */
  readonly at: number
}

/** Something that the audit trail has. */
export interface NoteNotice {
  readonly id: string
  readonly event: NumberedEvent
}

/** A step of a cutover that this client asked for. */
export interface StepNotice {
  readonly id: string
  readonly step: RequestStep
}

/** What comes beside answers, by method. */
export interface Notices {
  progress: ProgressNotice
  phase: PhaseNotice
  note: NoteNotice
  step: StepNotice
}

/** `data` of an error whose code is -32000; docs/errors.md lists the codes. */
export type ErrorData = ToldError
