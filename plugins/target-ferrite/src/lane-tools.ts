import type { LaneConnection } from './lane-connection.js'
import type { LaneLosses } from './lane-losses.js'
import type { LaneOptions } from './lane-options.js'
import type { StagedValues } from './staged-values.js'

/** What all writes of a lane share. */
export interface LaneTools {
  readonly options: LaneOptions
  readonly connection: LaneConnection
  readonly losses: LaneLosses
  readonly staged: StagedValues
}
