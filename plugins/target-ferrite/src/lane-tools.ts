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
  /**
   * The node of a cluster that a key has to be written to, once this one did not take it; waits where that is to be found out.
   * @throws MigrateError when it has been tried for long enough
   */
  redirect?(key: Buffer, text: string, since: number): Promise<LaneTools>
}
