import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { isGone } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'
import type { Place } from './place.js'

/** How long a hold lasts that nobody renews, ms. It is renewed with every push of the copy. */
export const HOLD_MS = 15_000

/** Who renews its hold every half second is there; who has not for so long is not, ms. */
const FRESH_MS = 700
const STALE_MS = 2500
const LOOK_MS = 100

/** Of a hold: mine or nobody's = it is mine for so long. Gives who else has it. */
const TAKE = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return nil`

const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

export async function readHold(link: Redis, keys: RunKeys): Promise<Place | null> {
  const held = await link.get(keys.hold)
  return held === null ? null : (JSON.parse(held) as Place)
}

/** How old a hold is that somebody has, ms; null = nobody has, or a process of this machine that is gone. */
export async function holdAge(link: Redis, keys: RunKeys): Promise<number | null> {
  const [held, ttl] = await Promise.all([readHold(link, keys), link.pttl(keys.hold)])
  return held === null || ttl < 0 || isGone(held) ? null : Math.max(0, HOLD_MS - ttl)
}

/** True for the age of a hold that may be of somebody who is gone. */
export function isStale(age: number): boolean {
  return age > STALE_MS
}

/** Whether somebody follows a migration: one who was killed holds it for a while, and answers nothing. */
export async function isHeld(link: Redis, keys: RunKeys): Promise<boolean> {
  for (;;) {
    const age = await holdAge(link, keys)
    if (age === null || isStale(age)) return false
    if (age < FRESH_MS) return true
    await sleep(LOOK_MS)
  }
}

/** The right to follow a migration: of all processes of all machines one has it. */
export class RunHold {
  private readonly link: Redis
  private readonly keys: RunKeys
  readonly value: string

  constructor(link: Redis, keys: RunKeys, place: Place) {
    this.link = link
    this.keys = keys
    this.value = JSON.stringify(place)
  }

  /** @throws MigrateError FM_ID_TAKEN */
  async take(id: string): Promise<void> {
    for (let tried = 0; ; tried++) {
      const other = await this.link.eval(TAKE, 1, this.keys.hold, this.value, HOLD_MS)
      if (other === null) return
      const holder = JSON.parse(String(other)) as Place
      if (tried === 0 && isGone(holder)) {
        // It died on this machine: nobody has to wait until that shows.
        await this.link.eval(RELEASE, 1, this.keys.hold, String(other))
        continue
      }
      // Its hold runs out soon, or it turns out to be there.
      const age = await holdAge(this.link, this.keys)
      if (age === null || isStale(age)) {
        await sleep(LOOK_MS)
        continue
      }
      throw new MigrateError(
        'FM_ID_TAKEN',
        `the migration ${id} is followed by process ${holder.pid} on ${holder.name}`,
        `Ask it (status, cutover, pause … --queue), or stop that process; one that is gone without a word is forgotten after ${HOLD_MS / 1000} s.`,
      )
    }
  }

  async release(): Promise<void> {
    await this.link.eval(RELEASE, 1, this.keys.hold, this.value)
  }
}
