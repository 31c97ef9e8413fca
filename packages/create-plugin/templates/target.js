import { MemoryTarget } from '@ferrite-migrate/conformance'
import { defineTarget } from '@ferrite-migrate/contracts'

/**
 * `SCHEME://`: keeps everything in memory until the run is over, and every rule of a target. Replace it by your own:
 *
 * - `write` takes batches of a lane in the order of the calls, and resolves when all of a batch is there; keys that could not be written
 *   are in its `failed`. A batch of changes comes with a checkpoint: both are durable together, or neither.
 * - `checkpoint` gives back what was durable last, and `forget` removes it.
 * - `reader` reads keys back, for verification.
 * - `dialect` says what it is. With `replay: false` and a reason in `replayRefusals` changes come as values that were read
 *   again, and you need no commands.
 */
export const createTarget = defineTarget(async () => new MemoryTarget())
