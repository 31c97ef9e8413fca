import { MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import type { RedisLink } from '@ferrite-migrate/redis'
import { refusalError } from './target-error.js'

const DIGITS = 40

/**
 * Writes a probe key into a database, looks for it there and in database 0, and deletes it.
 * @param probe a name that nothing else has
 * @throws MigrateError FM_DB_RANGE when the database is not there or is database 0 under another number; FM_AUTH_RIGHTS
 */
export async function proveDatabase(link: RedisLink, probe: string, db: number): Promise<void> {
  const { label } = link.endpoint
  const secret = String(db).padStart(DIGITS, '0')
  const [set] = await link.pipeline((out) => {
    out.call('SET', probe, secret, 'PX', 60_000)
    return 1
  }, db)
  if (set instanceof ReplyError) throw refusalError(link.endpoint, set.message)
  const [elsewhere] = await link.pipeline((out) => {
    out.call('EXISTS', probe)
    return 1
  }, 0)
  const [here] = await link.pipeline((out) => {
    out.call('GET', probe)
    out.call('DEL', probe)
    return 2
  }, db)
  if (here instanceof ReplyError) throw refusalError(link.endpoint, here.message)
  if (String(here) === secret && elsewhere === 0) return
  throw new MigrateError(
    'FM_DB_RANGE',
    `${label} says that it has a database ${db}, but what is written there ${elsewhere === 0 ? 'is not kept' : 'is in database 0'}`,
    `Map the database with --db-map ${db}:0, or name a target that has it.`,
  )
}
