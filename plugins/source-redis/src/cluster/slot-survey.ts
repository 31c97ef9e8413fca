import type { ShardSurvey, SlotSurvey } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { type ClusterNode, keysPerSlot, type RedisLink, slotRanges } from '@ferrite-migrate/redis'

/** Slots that are named. */
const NAMED = 10

export function slotsOf({ slots }: ClusterNode): number[] {
  return slots.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
}

/** Which slots of a primary hold most, and which keep it busiest where it counts that. */
export async function surveySlots(
  link: RedisLink,
  primary: ClusterNode,
): Promise<Pick<ShardSurvey, 'slots' | 'slotCount' | 'fullest' | 'hottest'>> {
  const slots = slotsOf(primary)
  const counts = await keysPerSlot(link, slots)
  const fullest = slots
    .map((slot, i): SlotSurvey => ({ slot, keys: counts[i] }))
    .filter(({ keys }) => keys > 0)
    .sort((a, b) => b.keys - a.keys)
    .slice(0, NAMED)
  const hottest = await hotSlots(link)
  return {
    ...{ slots: slotRanges(slots), slotCount: slots.length, fullest },
    ...(hottest === null ? {} : { hottest }),
  }
}

/** Null = it does not count (before Redis 8.2 and Valkey 8, or `cluster-slot-stats-enabled no`), or does not tell us. */
async function hotSlots(link: RedisLink): Promise<SlotSurvey[] | null> {
  try {
    const reply = await link.call('CLUSTER', 'SLOT-STATS', 'ORDERBY', 'CPU-USEC', 'LIMIT', NAMED, 'DESC')
    return Array.isArray(reply) ? reply.flatMap((one) => slotStatistics(one)) : null
  } catch (error) {
    if (error instanceof ReplyError) return null
    throw error
  }
}

function slotStatistics(reply: Reply): SlotSurvey[] {
  if (!Array.isArray(reply) || !Array.isArray(reply[1])) return []
  const [slot, pairs] = reply
  const value = (name: string): number => Number(pairs[pairs.findIndex((one) => String(one) === name) + 1] ?? 0)
  const cpuMs = value('cpu-usec') / 1000
  return cpuMs > 0 ? [{ slot: Number(slot), keys: value('key-count'), cpuMs }] : []
}
