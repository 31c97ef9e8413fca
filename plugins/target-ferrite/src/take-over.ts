import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { databaseSizes, type RedisLink } from '@ferrite-migrate/redis'
import type { Abilities } from './abilities.js'

const ENDED_WITHIN_MS = 5000
/** How long a server that shows no connections is given to finish what a dead process sent. */
const BLIND_MS = 1000
const SCAN_COUNT = 10_000

/** Of a CLIENT LIST, the connections whose names are such. */
function connectionIds(list: string, isSuch: (name: string) => boolean): string[] {
  return list
    .split('\n')
    .filter((line) => isSuch(/ name=(\S*)/.exec(line)?.[1] ?? ''))
    .flatMap((line) => /(?:^| )id=(\d+)/.exec(line)?.[1] ?? [])
}

/**
 * Ends the connections of this name, and of names below it. A process that was killed leaves commands in the buffers of the target; were they
 * executed after the checkpoint was read, they would be executed twice.
 */
export async function endConnections(link: RedisLink, name: string): Promise<void> {
  const deadline = Date.now() + ENDED_WITHIN_MS
  for (;;) {
    const list = await link.call('CLIENT', 'LIST').catch(() => null)
    if (!Buffer.isBuffer(list) && typeof list !== 'string') {
      await sleep(BLIND_MS)
      return
    }
    const ids = connectionIds(String(list), (one) => one === name || one.startsWith(`${name}:`))
    if (ids.length === 0 || Date.now() > deadline) return
    for (const id of ids) await link.call('CLIENT', 'KILL', 'ID', id).catch(() => undefined)
    await sleep(20)
  }
}

/**
 * Ends all connections whose names are told to be of a former writer, and makes sure that they are gone.
 * @throws MigrateError FM_FENCE_BLIND when the server does not show or end connections, FM_FENCE_STANDS when they do not go
 */
export async function endFormer(link: RedisLink, isFormer: (name: string) => boolean): Promise<void> {
  const { label } = link.endpoint
  const blind = (reply: unknown): MigrateError =>
    new MigrateError(
      'FM_FENCE_BLIND',
      `${label} does not show or end connections${reply instanceof Error ? ` (${reply.message.slice(0, 120)})` : ''}: nobody can make sure that a former worker writes no more`,
      'Give the user CLIENT LIST and CLIENT KILL (docs/permissions.md), or run the migration in one process, without --queue.',
    )
  const deadline = Date.now() + ENDED_WITHIN_MS
  for (;;) {
    const [list] = await link.pipeline((out) => {
      out.call('CLIENT', 'LIST')
      return 1
    })
    if (!Buffer.isBuffer(list) && typeof list !== 'string') throw blind(list)
    const ids = connectionIds(String(list), isFormer)
    if (ids.length === 0) return
    if (Date.now() > deadline)
      throw new MigrateError(
        'FM_FENCE_STANDS',
        `${label} does not end ${ids.length} connections of a former worker`,
        'It is tried again by whoever takes the shard next.',
        { retryable: true },
      )
    const replies = await link.pipeline((out) => {
      for (const id of ids) out.call('CLIENT', 'KILL', 'ID', id)
      return ids.length
    })
    // One that is gone already is no such client any more.
    const refused = replies.find((reply) => reply instanceof ReplyError && !/no such client/i.test(reply.message))
    if (refused !== undefined) throw blind(refused)
    await sleep(20)
  }
}

/** Removes what was under construction, or being probed, when a process of this migration died. */
export async function removeTemporary(
  link: RedisLink,
  able: Abilities,
  prefix: string,
  isFormer: (key: string) => boolean = () => true,
): Promise<void> {
  const onePage = able.rendering === 'ferrite-restore'
  for (const [db, size] of await databaseSizes(link)) {
    let cursor = '0'
    do {
      const [reply] = await link.pipeline((out) => {
        if (onePage) out.call('SCAN', cursor, 'COUNT', size + SCAN_COUNT)
        else out.call('SCAN', cursor, 'MATCH', `${prefix}*`, 'COUNT', SCAN_COUNT)
        return 1
      }, db)
      if (reply instanceof ReplyError) return
      const [next, keys] = reply as [Buffer, Buffer[]]
      const own = keys.filter((key) => key.toString('latin1').startsWith(prefix) && isFormer(key.toString('latin1')))
      if (own.length > 0)
        await link.pipeline((out) => {
          for (const key of own) out.call('DEL', key)
          return own.length
        }, db)
      cursor = onePage ? '0' : String(next)
    } while (cursor !== '0')
  }
}
