import type { RollbackReport, SourceAnalysis } from '@ferrite-migrate/core'
import type {
  ApiStatus,
  ApiVerifyReport,
  CancelResult,
  CutoverAnswer,
  EventsResult,
  Initialized,
  ListResult,
  MetricsResult,
  PlanResult,
  ReportResult,
  SamplesResult,
  StartResult,
} from './results.js'

/** What each method answers. */
export interface Answers {
  initialize: Initialized
  'migration.plan': PlanResult
  'migration.start': StartResult
  'migration.status': ApiStatus
  'migration.wait': ApiStatus
  'migration.pause': ApiStatus
  'migration.resume': ApiStatus
  'migration.cutover': CutoverAnswer
  'migration.cancel': CancelResult
  'migration.verify': ApiVerifyReport
  'migration.rollback': RollbackReport
  'migration.analyze': SourceAnalysis
  'migration.report': ReportResult
  'migration.list': ListResult
  'migration.events': EventsResult
  'migration.samples': SamplesResult
  'migration.metrics': MetricsResult
  'migration.attach': ApiStatus
  'migration.detach': ApiStatus
}
