import { setTimeout as sleep } from 'node:timers/promises'
import { RespWriter } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import type { TestServer } from '@ferrite-migrate/servers'
import { countDifferences } from './equality.js'
import { Heartbeat } from './heartbeat.js'
import { percentile } from './measure.js'
import { Random } from './random.js'
import { mixedWrite } from './writer.js'

export interface LiveRow {
  readonly job: string
  readonly tool: string
  readonly appliedPerSecond: number
  readonly lagP50: number
  readonly lagP99: number
  readonly cpuS: number | null
  readonly rssMb: number | null
  readonly halfTransactions: number | null
  readonly differences: number | null
}

/** What follows the source in a live bench. */
export interface Follower {
  readonly name: string
  readonly use: () => { cpuMs: number; rssMb: number }
  stop(): Promise<void>
}

async function until(target: RedisLink, key: string, value: string): Promise<void> {
  for (let i = 0; i < 12_000; i++) {
    if (String(await target.call('GET', key)) === value) return
    await sleep(5)
  }
  throw new Error('the target never caught up')
}

/** Mixed writes at a rate (0 = as fast as the source takes them); pre-encoded, so that the writer is not the bottleneck. */
export async function benchWrites(
  job: string,
  follower: Follower,
  source: TestServer,
  target: TestServer,
  writes: number,
  perSecond: number,
  transactions: boolean,
): Promise<LiveRow> {
  const random = new Random(99)
  const parts: { data: Buffer; commands: number; writes: number }[] = []
  const out = new RespWriter(1 << 20)
  const step = perSecond === 0 ? 500 : Math.max(1, Math.round(perSecond / 500))
  for (let from = 0; from < writes; from += step) {
    let commands = 0
    const count = Math.min(step, writes - from)
    for (let i = 0; i < count; i++) {
      if (transactions) {
        const id = from + i
        out.call('MULTI')
        out.call('SET', 'pair:a', id)
        out.call('SET', 'pair:b', id)
        out.call('INCR', `pair:n:${id % 100}`)
        out.call('EXEC')
        commands += 5
      } else {
        mixedWrite(random, out, from + i)
        commands++
      }
    }
    parts.push({ data: Buffer.from(out.take()), commands, writes: count })
  }
  const writer = await RedisLink.open(parseEndpoint(source.url))
  const reader = await RedisLink.open(parseEndpoint(target.url))
  const cpuBefore = follower.use().cpuMs
  const heartbeat = Heartbeat.start(source.url, target.url)
  let half = 0
  let watching = transactions
  const watch = (async () => {
    if (!transactions) return
    const link = await RedisLink.open(parseEndpoint(target.url))
    while (watching) {
      const [a, b] = (await link.call('MGET', 'pair:a', 'pair:b')) as Buffer[]
      if (String(a) !== String(b)) half++
      await sleep(2)
    }
    link.close()
  })()
  const startedAt = performance.now()
  let written = 0
  let underWay = 0
  for (const part of parts) {
    while (perSecond > 0 && written > ((performance.now() - startedAt) / 1000) * perSecond) await sleep(1)
    while (underWay > 8) await sleep(0)
    underWay++
    void writer
      .pipeline((to) => {
        to.raw(part.data)
        return part.commands
      })
      .then(() => underWay--)
    written += part.writes
  }
  while (underWay > 0) await sleep(1)
  await writer.call('SET', 'end-mark', job)
  await until(reader, 'end-mark', job)
  const seconds = (performance.now() - startedAt) / 1000
  const lags = await heartbeat.stop()
  watching = false
  await watch
  const use = follower.use()
  writer.close()
  reader.close()
  await sleep(200)
  return {
    job,
    tool: follower.name,
    appliedPerSecond: writes / seconds,
    lagP50: percentile(lags, 0.5),
    lagP99: percentile(lags, 0.99),
    cpuS: use.cpuMs > 0 ? (use.cpuMs - cpuBefore) / 1000 : null,
    rssMb: use.rssMb > 0 ? use.rssMb : null,
    halfTransactions: transactions ? half : null,
    differences: await countDifferences(source.url, target.url),
  }
}
