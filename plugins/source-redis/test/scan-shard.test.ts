import { MemoryStore } from '@ferrite-migrate/conformance'
import { MigrateError } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import type { ChangeFeed } from '../dist/change-feed.js'
import { type ScanningReader, ScanShard } from '../dist/scan-shard.js'

const LOST = new MigrateError('FM_CONNECT_LOST', 'not the primary any more', 'Wait.', { retryable: true })
const REFUSED = new MigrateError('FM_NOTIFICATIONS_OFF', 'refused', 'Give the rights.')

function emptyReader(): ScanningReader {
  return Object.assign(new MemoryStore().reader(), {
    async *scan() {},
    byBytes: async () => [],
  })
}

/** A feed whose first starts fail. */
function failing(failures: MigrateError[]): ChangeFeed {
  return {
    ...{ events: 0, proven: true, pending: 0, streamCount: 0 },
    start: async () => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
    },
    ...{ takeMissed: () => false, takeVanished: () => false, take: () => [], takeStreams: () => [] },
    ...{ addStream: () => undefined, wait: async () => undefined, close: async () => undefined },
  }
}

async function firstEvents(failures: MigrateError[], retryMs = 5000): Promise<string[]> {
  const shard = new ScanShard('0', {
    ...{ batchSize: 10, sweepIntervalMs: 60_000, pollIntervalMs: 0, retryMs, lasting: false },
    reader: emptyReader,
    feed: () => failing(failures),
  })
  const kinds: string[] = []
  for await (const { kind } of shard.read({ signal: new AbortController().signal, changes: true })) {
    kinds.push(kind)
    if (kind === 'snapshot-end') break
  }
  return kinds
}

describe('reading by scans and notifications', () => {
  it('begins to listen in the middle of a failover', async () => {
    expect(await firstEvents([LOST, LOST])).toEqual(['sync', 'snapshot-end'])
  })

  it('does not wait for what will not come, nor for ever', async () => {
    await expect(firstEvents([REFUSED])).rejects.toBe(REFUSED)
    await expect(
      firstEvents(
        Array.from({ length: 20 }, () => LOST),
        150,
      ),
    ).rejects.toBe(LOST)
  })
})
