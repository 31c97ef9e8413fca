import type { Shard, Source, SourceEvent } from '@ferrite-migrate/contracts'

/**
 * Reads the snapshots of all shards of a source, those that join it meanwhile among them, and hands their events over one by
 * one. All are read at once: shards between which keys move begin together.
 * @throws what a shard or `take` throws; the others are ended then
 */
export async function eachEvent(
  source: Source,
  signal: AbortSignal,
  take: (shard: string, event: SourceEvent) => Promise<void>,
): Promise<void> {
  const over = new AbortController()
  const ending = AbortSignal.any([signal, over.signal])
  const readings: Promise<void>[] = []
  let turn: Promise<void> = Promise.resolve()
  const read = async (shard: Shard): Promise<void> => {
    for await (const event of shard.read({ signal: ending, changes: false })) {
      const taken = turn.then(() => take(shard.id, event))
      turn = taken.catch(() => undefined)
      await taken
    }
  }
  const begin = (shard: Shard): void => {
    const reading = read(shard)
    reading.catch(() => over.abort())
    readings.push(reading)
  }
  for (const shard of source.shards) begin(shard)
  const watching = new AbortController()
  const watched = (async () => {
    for await (const change of source.watch?.(AbortSignal.any([ending, watching.signal])) ?? [])
      if (change.kind === 'added') begin(change.shard)
  })()
  try {
    // More may be added while these are waited for.
    for (let at = 0; at < readings.length; at++) await readings[at]
  } catch (error) {
    over.abort()
    await Promise.allSettled(readings)
    throw error
  } finally {
    watching.abort()
    await watched.catch(() => undefined)
  }
}
