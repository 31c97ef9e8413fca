import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ClusterNode,
  keyspaceDifferences,
  type Random,
  RedisCluster,
  type ServerVersion,
  until,
} from '@ferrite-migrate/servers'
import type { Migration } from 'ferrite-migrate'
import { stops } from './servers.js'

/** A cluster that is stopped when the test is over. @param version any where none is asked for */
export async function startCluster(
  version?: ServerVersion,
  options: Parameters<typeof RedisCluster.start>[0] = {},
): Promise<RedisCluster> {
  const cluster = await RedisCluster.start({
    ...options,
    ...(version === undefined ? {} : { version }),
    args: ['--repl-backlog-size', '64mb', '--repl-diskless-sync-delay', '0', ...(options.args ?? [])],
  })
  stops.push(() => cluster.stop())
  return cluster
}

export async function isLive(run: Migration): Promise<void> {
  await until(async () => {
    const { phase, state, error } = run.status()
    if (state !== 'RUNNING') throw new Error(`${state}: ${JSON.stringify(error)}`)
    return phase === 'LIVE_SYNC'
  }, 'live')
}

/** Waits until nothing is behind for a while. */
export async function settled(run: Migration): Promise<void> {
  let calm = 0
  await until(async () => {
    const { lagKeys, lagBytes, state, error } = run.status()
    if (state !== 'RUNNING') throw new Error(`${state}: ${JSON.stringify(error)}`)
    calm = lagKeys === 0 && lagBytes === 0 ? calm + 1 : 0
    await sleep(300)
    return calm > 8
  }, 'nothing behind')
}

/** What two ends differ in, to read; what belongs to a tool is left out. */
export async function between(first: { url: string }, second: { url: string }): Promise<string[]> {
  const leaveOut = (name: string): boolean => name.startsWith('__ferrite_migrate__:') || name === '__mark__'
  const found = await keyspaceDifferences(first.url, second.url, { leaveOut })
  return found.map(({ key, what, first: a, second: b }) => `${key.toString('latin1')}: ${what}: ${a} | ${b}`)
}

/** Two different primaries. */
export async function twoOf(cluster: RedisCluster, random: Random): Promise<[ClusterNode, ClusterNode]> {
  const primaries = await cluster.primaries()
  const from = primaries[random.below(primaries.length)]
  const others = primaries.filter((node) => node !== from)
  return [from, others[random.below(others.length)]]
}

/** Moves some slots of one primary to another, by the servers themselves where they can; now and then it is called off. */
export async function moveSlots(cluster: RedisCluster, random: Random, count: number): Promise<void> {
  const [from, to] = await twoOf(cluster, random)
  const [{ first, last }] = await cluster.slotsOf(from)
  const end = Math.min(last, first + count - 1)
  if (!cluster.movesSlotsItself || random.below(3) === 0) {
    const slots = Array.from({ length: end - first + 1 }, (_, i) => first + i)
    return cluster.reshardSlots(slots, from, to)
  }
  const move = await cluster.migrateSlots([{ first, last: end }], from, to)
  if (random.below(3) === 0) await move.cancel().catch(() => undefined)
  else await move.done().catch(() => undefined)
}

export async function failOver(cluster: RedisCluster, random: Random): Promise<void> {
  const [node] = await twoOf(cluster, random)
  const [replica] = await cluster.replicasOf(node)
  await cluster.failover(replica)
}

export async function killPrimary(cluster: RedisCluster, random: Random): Promise<void> {
  const [node] = await twoOf(cluster, random)
  await cluster.kill(node)
  await cluster.waitUntilOk()
  await cluster.restart(node)
  await cluster.waitUntilOk()
}

/** Waits until two ends are equal, but for differences that are waved through. @throws Error with what they differ in */
export async function equal(
  first: { url: string },
  second: { url: string },
  isFine: (difference: string) => boolean = () => false,
): Promise<void> {
  let left: string[] = []
  await until(async () => {
    left = (await between(first, second)).filter((text) => !isFine(text))
    return left.length === 0
  }, 'equality').catch((error: Error) => {
    throw new Error(`${error.message}: ${left.join('\n')}`, { cause: error })
  })
}
