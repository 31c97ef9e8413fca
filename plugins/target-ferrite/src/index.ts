import type { CreateTarget } from '@ferrite-migrate/contracts'
import { openTarget } from './cluster/open-target.js'

export type { Abilities } from './abilities.js'
export { probeTarget } from './probe.js'

/**
 * Ferrite and every Redis-compatible server: `ferrite://`, `ferrites://`, `redis://`, `rediss://`, `redis+unix://`; a cluster of Redis
 * or Valkey: `redis-cluster://`, or the address of one of its nodes.
 */
export const createTarget: CreateTarget = (context) => openTarget(context)
