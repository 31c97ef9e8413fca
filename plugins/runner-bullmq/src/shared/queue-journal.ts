import { type DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import { type JournaledKey, packUndo, type SharedJournal, type Undo, unpackUndo } from '@ferrite-migrate/core'
import type { ChainableCommander, Redis } from 'ioredis'
import { queueAway } from '../connection/queue-link.js'
import type { RunKeys } from '../connection/run-keys.js'

const PAGE = 1000
/** Former values of one page may be large: so many are held at once. */
const VALUES_AT_ONCE = 100
const CREATED = '1'
const HAD = '0'
/** Nothing was there: a value that was has bytes. */
const EMPTY = Buffer.alloc(0)
/** How long the way back of a migration that is over stays, ms. */
const KEPT_MS = 30 * 24 * 3_600_000

/**
 * Keeps what is not known yet, in one step; gives about how many bytes the journal takes, an entry 100 besides its own; nothing where
 * there is no journal. KEYS: keys, values, bytes. ARGV: for each key its name, and its former value or nothing.
 */
const KEEP = `
if redis.call('EXISTS', KEYS[3]) == 0 then return nil end
local bytes = 0
for i = 1, #ARGV, 2 do
  local value = ARGV[i + 1]
  if redis.call('HSETNX', KEYS[1], ARGV[i], value == '' and '${CREATED}' or '${HAD}') == 1 then
    bytes = bytes + 100 + #ARGV[i]
    if value ~= '' then
      redis.call('HSET', KEYS[2], ARGV[i], value)
      bytes = bytes + #ARGV[i] + #value
    end
  end
end
return redis.call('INCRBY', KEYS[3], bytes)`

/** Database and key, as one name. */
function nameOf({ db, key }: DirtyKey): Buffer {
  return Buffer.concat([Buffer.from(`${db} `), key])
}

function keyOf(name: Buffer): DirtyKey {
  const end = name.indexOf(' ')
  return { db: Number(name.subarray(0, end).toString()), key: name.subarray(end + 1) }
}

/**
 * The undo journal of a migration in the queue's server: a hash with all keys that were touched, one with the values that were there,
 * and how many bytes both take.
 */
export class QueueJournal implements SharedJournal {
  private readonly link: Redis
  private readonly label: string
  private readonly names: Pick<RunKeys, 'undoKeys' | 'undoValues' | 'undoBytes'>
  private readonly limit: number

  constructor(link: Redis, label: string, keys: Pick<RunKeys, 'undoKeys' | 'undoValues' | 'undoBytes'>, limit: number) {
    this.link = link
    this.label = label
    this.names = keys
    this.limit = limit
  }

  async begin(): Promise<void> {
    const { undoKeys, undoValues, undoBytes } = this.names
    await this.asked((link) => link.multi().del(undoKeys, undoValues).set(undoBytes, 0))
  }

  async exists(): Promise<boolean> {
    const [count] = await this.asked((link) => link.pipeline().exists(this.names.undoBytes))
    return count === 1
  }

  async keep(entries: readonly Undo[]): Promise<void> {
    const { undoKeys, undoValues, undoBytes } = this.names
    const args = entries.flatMap((entry) => [nameOf(entry), entry.before === null ? EMPTY : packUndo(entry.before)])
    const [total] = await this.asked((link) => link.pipeline().eval(KEEP, 3, undoKeys, undoValues, undoBytes, ...args))
    if (total === null) throw this.lost()
    if (Number(total) <= this.limit) return
    throw new MigrateError(
      'FM_UNDO_FULL',
      `the undo journal has reached its limit of ${this.limit} bytes`,
      'Go on with --resume and a larger --undo-limit, or do without a way back: --no-undo.',
    )
  }

  async *keys(): AsyncGenerator<readonly JournaledKey[]> {
    for (let cursor = '0'; ; ) {
      const [found] = await this.asked((link) =>
        link.pipeline().hscanBuffer(this.names.undoKeys, cursor, 'COUNT', PAGE),
      )
      const [next, fields] = found as [Buffer, Buffer[]]
      const page: JournaledKey[] = []
      for (let i = 0; i < fields.length; i += 2)
        page.push({ ...keyOf(fields[i]), created: fields[i + 1].toString() === CREATED })
      yield page
      cursor = next.toString()
      if (cursor === '0') return
    }
  }

  async *entries(): AsyncGenerator<readonly Undo[]> {
    for await (const page of this.keys()) {
      const had = page.filter(({ created }) => !created)
      yield page.filter(({ created }) => created).map(({ db, key }) => ({ db, key, before: null }))
      for (let from = 0; from < had.length; from += VALUES_AT_ONCE)
        yield await this.former(had.slice(from, from + VALUES_AT_ONCE))
    }
  }

  async drop(keys: readonly DirtyKey[]): Promise<void> {
    if (keys.length === 0) return
    const { undoKeys, undoValues } = this.names
    const names = keys.map(nameOf)
    await this.asked((link) =>
      link
        .pipeline()
        .hdel(undoKeys, ...names)
        .hdel(undoValues, ...names),
    )
  }

  async remove(): Promise<void> {
    const { undoKeys, undoValues, undoBytes } = this.names
    await this.asked((link) => link.pipeline().unlink(undoKeys, undoValues, undoBytes))
  }

  /** The migration is over for good: a way back is not kept for ever. */
  async keepForAWhile(): Promise<void> {
    const { undoKeys, undoValues, undoBytes } = this.names
    await this.asked((link) =>
      link.pipeline().pexpire(undoKeys, KEPT_MS).pexpire(undoValues, KEPT_MS).pexpire(undoBytes, KEPT_MS),
    )
  }

  private async former(keys: readonly DirtyKey[]): Promise<Undo[]> {
    const [values] = await this.asked((link) => link.pipeline().hmgetBuffer(this.names.undoValues, ...keys.map(nameOf)))
    return keys.map(({ db, key }, i): Undo => {
      const packed = (values as (Buffer | null)[])[i]
      if (packed === null) throw this.lost()
      return { db, key, before: unpackUndo({ db, key }, packed) }
    })
  }

  private lost(): MigrateError {
    return new MigrateError(
      'FM_ROLLBACK_NO_JOURNAL',
      `the queue ${this.label} has lost the undo journal, or a part of it`,
      'What was kept there can no longer be given back. Go on without a way back (--resume and --no-undo), or use a backup of the target.',
    )
  }

  /** The answers of a batch. @throws MigrateError FM_UNDO_FULL, FM_QUEUE_* */
  private async asked(ask: (link: Redis) => ChainableCommander): Promise<unknown[]> {
    try {
      const replies = (await ask(this.link).exec()) ?? []
      return replies.map(([error, reply]) => {
        if (error !== null) throw error
        return reply
      })
    } catch (error) {
      if (error instanceof Error && /\bOOM\b/.test(error.message))
        throw new MigrateError(
          'FM_UNDO_FULL',
          `the queue ${this.label} has no memory left for the undo journal`,
          'Give its server more (maxmemory) and go on with --resume, or do without a way back: --no-undo.',
          { cause: error },
        )
      throw queueAway(this.label, error)
    }
  }
}
