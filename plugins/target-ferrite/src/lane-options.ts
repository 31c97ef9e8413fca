import type { RedisLink } from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'
import type { ConnectionOptions } from './lane-connection.js'
import type { UnsupportedPolicy } from './rendered-batch.js'
import type { RequestLimits } from './request-limits.js'

/** What a lane needs from the target it belongs to. */
export interface LaneOptions extends ConnectionOptions {
  readonly unsupported: UnsupportedPolicy
  readonly able: Abilities
  readonly clockSkewMs: number
  readonly limits: RequestLimits
  /** It is one node of a cluster: keys may be at another by now, and no command takes those of several slots. */
  readonly ofCluster?: boolean
  /** A connection for the few things whose reply must be looked at. */
  control(): Promise<RedisLink>
}
