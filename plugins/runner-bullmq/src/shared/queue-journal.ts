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
/** About what a key takes in the server besides its own bytes. */
const ENTRY_BYTES = 100
/** How long the way back of a migration that is over stays, ms. */
const KEPT_MS = 30 * 24 * 3_600_000

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
 * and how many bytes both take. A value is there before its key, so that nobody takes a key for one that was created.
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
    const sizes: number[] = []
    const [before, ...added] = await this.asked((link) => {
      const batch = link.pipeline().get(undoBytes)
      for (const entry of entries) {
        const name = nameOf(entry)
        const packed = entry.before === null ? null : packUndo(entry.before)
        sizes.push(ENTRY_BYTES + name.length + (packed === null ? 0 : name.length + packed.length))
        if (packed !== null) batch.hsetnx(undoValues, name, packed)
        batch.hsetnx(undoKeys, name, packed === null ? CREATED : HAD)
      }
      return batch
    })
    if (before === null) throw this.lost()
    let at = 0
    let bytes = 0
    for (const [i, entry] of entries.entries()) {
      if (entry.before !== null) at++
      if (added[at++] === 1) bytes += sizes[i]
    }
    const [total] = await this.asked((link) => link.pipeline().incrby(undoBytes, bytes))
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
      if (error instanceof Error && /^OOM\b/.test(error.message))
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
