import { setTimeout as sleep } from 'node:timers/promises'
import { RespWriter } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
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

/** What is written to the source of a live bench. */
export interface Load {
  readonly writes: number
  /** 0 = as fast as the source takes them. */
  readonly perSecond: number
  /** Each write is a transaction over three keys. */
  readonly transactions: boolean
  /** Strings over so many keys; absent = writes of all kinds. */
  readonly keys?: number
}

/** What can be reached at an address. */
interface Place {
  readonly url: string
}

/** A part of a load, ready to be sent. */
interface LoadPart {
  readonly data: Buffer
  readonly commands: number
  readonly writes: number
}

const PAIR_COMMANDS = 5
/** Parts under way at once. */
const UNDER_WAY = 8

/** Encoded before, so that the writer is not the bottleneck. */
function encoded({ writes, perSecond, transactions, keys }: Load): LoadPart[] {
  const random = new Random(99)
  const out = new RespWriter(1 << 20)
  const step = perSecond === 0 ? 500 : Math.max(1, Math.round(perSecond / 500))
  const parts: LoadPart[] = []
  for (let from = 0; from < writes; from += step) {
    const count = Math.min(step, writes - from)
    for (let i = from; i < from + count; i++)
      if (keys !== undefined) out.call('SET', `key:${random.below(keys)}`, random.text(60))
      else if (transactions) writePair(out, i)
      else mixedWrite(random, out, i)
    parts.push({ data: Buffer.from(out.take()), commands: count * (transactions ? PAIR_COMMANDS : 1), writes: count })
  }
  return parts
}

/** Two keys that are never different, but in a transaction that was applied by half. */
function writePair(out: RespWriter, id: number): void {
  out.call('MULTI')
  out.call('SET', 'pair:a', id)
  out.call('SET', 'pair:b', id)
  out.call('INCR', `pair:n:${id % 100}`)
  out.call('EXEC')
}

/** Resolves when the source has taken everything. */
async function send(writer: RedisLink, parts: readonly LoadPart[], perSecond: number): Promise<void> {
  const startedAt = performance.now()
  let written = 0
  let underWay = 0
  for (const part of parts) {
    while (perSecond > 0 && written > ((performance.now() - startedAt) / 1000) * perSecond) await sleep(1)
    while (underWay > UNDER_WAY) await sleep(0)
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
}

/** Looks at the target whether the two keys of a transaction differ. */
class HalfTransactions {
  private count = 0
  private watching = true
  private readonly work: Promise<void>

  constructor(target: Place) {
    this.work = this.watch(target)
  }

  private async watch(target: Place): Promise<void> {
    const link = await RedisLink.open(parseEndpoint(target.url))
    while (this.watching) {
      const [a, b] = (await link.call('MGET', 'pair:a', 'pair:b')) as Buffer[]
      if (String(a) !== String(b)) this.count++
      await sleep(2)
    }
    link.close()
  }

  /** How often they did. */
  async stop(): Promise<number> {
    this.watching = false
    await this.work
    return this.count
  }
}

/**
 * Writes to the source until the target has everything, and measures what follows it.
 * @param store where the target keeps what it is told
 */
export async function benchWrites(
  job: string,
  follower: Follower,
  source: Place,
  target: Place,
  load: Load,
  store: Place = target,
): Promise<LiveRow> {
  const parts = encoded(load)
  const writer = await RedisLink.open(parseEndpoint(source.url))
  const reader = await RedisLink.open(parseEndpoint(target.url))
  const cpuBefore = follower.use().cpuMs
  const heartbeat = Heartbeat.start(source.url, target.url)
  const half = load.transactions ? new HalfTransactions(target) : null
  const startedAt = performance.now()
  await send(writer, parts, load.perSecond)
  await writer.call('SET', 'end-mark', job)
  await until(reader, 'end-mark', job)
  const seconds = (performance.now() - startedAt) / 1000
  const lags = await heartbeat.stop()
  const halfTransactions = (await half?.stop()) ?? null
  const use = follower.use()
  writer.close()
  reader.close()
  await sleep(200)
  return {
    job,
    tool: follower.name,
    appliedPerSecond: load.writes / seconds,
    lagP50: percentile(lags, 0.5),
    lagP99: percentile(lags, 0.99),
    cpuS: use.cpuMs > 0 ? (use.cpuMs - cpuBefore) / 1000 : null,
    rssMb: use.rssMb > 0 ? use.rssMb : null,
    halfTransactions,
    differences: await countDifferences(source.url, store.url),
  }
}
