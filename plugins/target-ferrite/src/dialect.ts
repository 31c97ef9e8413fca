import type { Dialect } from '@ferrite-migrate/contracts'
import type { Abilities } from './abilities.js'

/** What the probes found, in the terms of the plan. */
export function dialectOf(able: Abilities): Dialect {
  const refusals: string[] = []
  if (able.rendering !== 'restore') refusals.push("the target does not take Redis's RESTORE payloads")
  if (!able.ttlSurvivesWrites) refusals.push('writes at the target drop the expiry of a key')
  if (!able.pushOrder) refusals.push('LPUSH of several elements stores them in another order')
  if (!able.atomicMulti) refusals.push('MULTI at the target is not all or nothing')
  const yes = (flag: boolean): string => (flag ? 'yes' : 'no')
  return {
    product: able.product,
    rendering: able.rendering,
    replay: refusals.length === 0,
    replayRefusals: refusals,
    holds: { fieldExpiry: able.fieldExpiry, hyperLogLog: able.hyperLogLog, databases: able.databases },
    facts: {
      product: able.product,
      rendering: able.rendering,
      rdbVersion: able.rendering === 'restore' ? String(able.rdbVersion) : 'none',
      rdbTypes: [...able.rdbTypes].sort((a, b) => a - b).join(' ') || 'none',
      absoluteRestore: yes(able.absoluteRestore),
      setPxat: yes(able.setPxat),
      atomicMulti: yes(able.atomicMulti),
      ttlSurvivesWrites: yes(able.ttlSurvivesWrites),
      pushOrder: yes(able.pushOrder),
      xsetid: able.xsetidCounters ? 'with counters' : yes(able.xsetid),
      fieldExpiry: yes(able.fieldExpiry),
      hyperLogLog: yes(able.hyperLogLog),
      databases: yes(able.databases),
    },
  }
}
