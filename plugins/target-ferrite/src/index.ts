import type { CreateTarget } from '@ferrite-migrate/contracts'
import { FerriteTarget } from './ferrite-target.js'

export type { Abilities } from './abilities.js'
export { probeTarget } from './probe.js'

/** Ferrite and every Redis-compatible server: `ferrite://`, `ferrites://`, `redis://`, `rediss://`, `redis+unix://`. */
export const createTarget: CreateTarget = (context) => FerriteTarget.open(context)
