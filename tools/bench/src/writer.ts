import type { RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'
import { Random } from './random.js'

/** One of the mixed writes that benches and demo use. */
export function mixedWrite(random: Random, out: RespWriter, n: number): void {
  const key = random.below(5000)
  const call = (...argv: string[]): void => out.call(...argv)
  switch (random.below(8)) {
    case 0:
    case 1:
      call('SET', `live:str:${key}`, `value-${n}`)
      break
    case 2:
      call('INCR', `live:counter:${key % 200}`)
      break
    case 3:
      call('HSET', `live:hash:${key % 1000}`, `f${n % 20}`, String(n))
      break
    case 4:
      call('LPUSH', `live:list:${key % 2000}`, `e${n}`)
      break
    case 5:
      call('ZADD', `live:zset:${key % 1000}`, String(n), `m${n % 30}`)
      break
    case 6:
      call('DEL', `live:str:${random.below(5000)}`)
      break
    default:
      call('EXPIRE', `live:hash:${key % 1000}`, '3600')
  }
}

/** Writes to a server at a steady rate, or as fast as it takes (rate 0), until stopped. */
export class Writer {
  written = 0
  private stopping = false
  private readonly link: RedisLink
  private running: Promise<void> = Promise.resolve()

  private constructor(link: RedisLink) {
    this.link = link
  }

  static async start(endpoint: Endpoint, perSecond: number, seed = 7): Promise<Writer> {
    const writer = new Writer(await RedisLink.open(endpoint))
    writer.running = writer.run(perSecond, new Random(seed))
    return writer
  }

  private async run(perSecond: number, random: Random): Promise<void> {
    const startedAt = performance.now()
    while (!this.stopping) {
      const due =
        perSecond === 0
          ? 500
          : Math.min(500, Math.floor(((performance.now() - startedAt) / 1000) * perSecond) - this.written)
      if (due > 0) {
        await this.link.pipeline((out) => {
          for (let i = 0; i < due; i++) mixedWrite(random, out, this.written + i)
          return due
        })
        this.written += due
      } else await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  async stop(): Promise<void> {
    this.stopping = true
    await this.running.catch(() => undefined)
    this.link.close()
  }
}
