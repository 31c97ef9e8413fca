import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'

const EVERY_MS = 20
const LOOK_MS = 1

const ends = workerData as { source: string; target: string; key: string }
const source = await RedisLink.open(parseEndpoint(ends.source))
const target = await RedisLink.open(parseEndpoint(ends.target))
// Of this run alone: what a former one has left would count as seen.
const KEY = `${ends.key}heartbeat:${Date.now()}`
const lags: number[] = []
const sentAt: number[] = []
let stopping = false

/** Beats at its times, whether or not the one before was answered. */
async function beat(): Promise<void> {
  const answers: Promise<unknown>[] = []
  for (const startedAt = performance.now(); !stopping; ) {
    sentAt.push(performance.now())
    answers.push(source.call('SET', KEY, sentAt.length))
    await sleep(Math.max(0, startedAt + sentAt.length * EVERY_MS - performance.now()))
  }
  await Promise.all(answers)
}

async function look(): Promise<void> {
  for (let seen = 0; !stopping; ) {
    const value = Number(String((await target.call('GET', KEY)) ?? '0'))
    const now = performance.now()
    for (; seen < value; seen++) lags.push(now - sentAt[seen])
    await sleep(LOOK_MS)
  }
}

const running = Promise.all([beat(), look()])
await once(parentPort!, 'message')
stopping = true
await running
source.close()
target.close()
parentPort!.postMessage(lags)
parentPort!.close()
