import { counted, type ShardSurvey, type SlotSurvey } from '@ferrite-migrate/contracts'
import { formatBytes, formatCount, THIN } from './format.js'

/** Slots of each kind that are shown. */
const SHOWN = 10

type PlacedSlot = SlotSurvey & { readonly place: string }

function most(shards: readonly ShardSurvey[], of: 'fullest' | 'hottest', by: (slot: SlotSurvey) => number) {
  return shards
    .flatMap((shard) => (shard[of] ?? []).map((slot): PlacedSlot => ({ ...slot, place: shard.place })))
    .sort((a, b) => by(b) - by(a))
    .slice(0, SHOWN)
}

function share(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.round((part / whole) * 100)}%`
}

/** The section of a cluster: who has which slots, what is in them, and which of them stand out. */
export function clusterLines(shards: readonly ShardSurvey[]): string[] {
  const keys = shards.reduce((sum, shard) => sum + shard.keys, 0)
  const biggest = shards.reduce((best, shard) => (shard.usedMemory > best.usedMemory ? shard : best), shards[0])
  const wide = Math.max('Primary'.length, ...shards.map(({ place }) => place.length)) + 2
  const row = (place: string, slots: string, count: string, memory: string, ranges: string): string =>
    `${place.padEnd(wide)}${slots.padEnd(8)}${count.padEnd(20)}${memory.padEnd(11)}${ranges}`
  const isCounted = shards.some(({ hottest }) => hottest !== undefined)
  const fullest = most(shards, 'fullest', (slot) => slot.keys)
  const hottest = most(shards, 'hottest', (slot) => slot.cpuMs ?? 0)
  const named = (slot: PlacedSlot, what: string): string =>
    `${String(slot.slot).padEnd(8)}${what.padEnd(20)}${slot.place}`
  return [
    '',
    'CLUSTER',
    THIN,
    row('Primary', 'Slots', 'Keys', 'Memory', 'Ranges'),
    ...shards.map(({ place, slotCount, keys: own, usedMemory, slots }) =>
      row(place, formatCount(slotCount), `${formatCount(own)} (${share(own, keys)})`, formatBytes(usedMemory), slots),
    ),
    `Biggest: ${biggest.place}, ${formatBytes(biggest.usedMemory)}, ${counted(biggest.keys, 'key')}`,
    ...(fullest.length === 0
      ? []
      : [
          '',
          'FULLEST SLOTS',
          THIN,
          ...fullest.map((slot) => named(slot, `${counted(slot.keys, 'key')} (${share(slot.keys, keys)})`)),
        ]),
    '',
    'HOT SLOTS',
    THIN,
    ...(hottest.length > 0
      ? hottest.map((slot) => named(slot, `${(slot.cpuMs ?? 0).toFixed(1)} ms of CPU`))
      : [
          isCounted
            ? 'No slot has been used since the servers count (cluster-slot-stats-enabled)'
            : 'Unknown: the servers do not count it (Redis 8.2 and Valkey 8 do, with cluster-slot-stats-enabled yes)',
        ]),
  ]
}
