import { setTimeout as sleep } from 'node:timers/promises'
import type { Finding, Source, Target } from '@ferrite-migrate/contracts'

/** A source may be a replica of the target: what is written there arrives a moment later. */
const LOOKS = 3
const LOOK_MS = 100

/**
 * Finds out whether source and target are one server, whatever they are called: a key is written to the target and looked
 * for at the source. A migration of a server into itself would feed on its own writes.
 */
export async function sameServer(source: Source, target: Target): Promise<Finding | null> {
  if (source.sees === undefined || target.plant === undefined) return null
  const planted = await target.plant()
  try {
    for (let look = 0; look < LOOKS; look++) {
      if (await source.sees(planted.db, planted.key))
        return {
          level: 'fail',
          code: 'FM_SAME_SERVER',
          text: 'source and target are the same server, or one follows the other: a migration would feed on its own writes',
        }
      if (source.capabilities.follower !== true) return null
      await sleep(LOOK_MS)
    }
    return null
  } finally {
    await planted.remove()
  }
}
