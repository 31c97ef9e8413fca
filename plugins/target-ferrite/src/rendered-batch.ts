import {
  type DirtyKey,
  MigrateError,
  type NotCarried,
  PackedRecord,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import type { RespWriter } from '@ferrite-migrate/protocol'
import type { Abilities } from './abilities.js'
import type { RequestLimits } from './request-limits.js'
import { temporaryName } from './temporary-name.js'

/** What a reply answers: a record by its index, a group of records (MSET), or nothing that needs an answer. */
export const NOBODY = -1

const DELETE_KEYS = 500

export interface Staged {
  readonly index: number
  readonly temporary: string
}

/** A transaction: EXEC is the reply of this index, and answers for so many commands when it ran. */
export interface Transaction {
  readonly index: number
  readonly commands: number
}

/** What becomes of a value that the target cannot hold as it is. */
export type UnsupportedPolicy = 'fail' | 'skip' | 'degrade'

export interface RenderingOptions {
  /** Clock of the target minus the clock here, ms. */
  readonly clockSkewMs: number
  readonly migration: string | undefined
  readonly unsupported: UnsupportedPolicy
  readonly limits: RequestLimits
  readonly ofCluster?: boolean
}

/**
 * The commands that records of one database become, and what is to be known for their replies: `owners` tells for each reply
 * which record it answers (`groups[-2 - owner]` for MSET), and `staged` which records are under a temporary name that a second
 * step has to put in place.
 */
export class RenderedBatch {
  readonly owners: number[] = []
  readonly groups: number[][] = []
  readonly staged: Staged[] = []
  readonly transactions: Transaction[] = []
  /** Bytes of the largest value, where it is worth a mention. */
  largest = 0
  /** Records with a time to live that only the replies tell to be ours: `end` is to be called for those. */
  readonly inexact: number[] = []
  readonly notCarried: NotCarried[] = []
  /** Indexes of records that were sent as deletions. */
  private readonly ended = new Set<number>()
  /** Records that are not written: expired before they could be, or left out. */
  expired = 0
  readonly able: Abilities
  readonly out: RespWriter
  readonly options: RenderingOptions

  constructor(able: Abilities, out: RespWriter, options: RenderingOptions) {
    this.able = able
    this.out = out
    this.options = options
  }

  deletes(keys: readonly DirtyKey[]): void {
    for (let from = 0; from < keys.length; ) {
      const to = Math.min(keys.length, from + DELETE_KEYS)
      this.out.command(1 + to - from)
      this.out.text('DEL')
      for (; from < to; from++) this.out.bytes(keys[from].key)
      this.owners.push(NOBODY)
    }
  }

  /**
   * A time to live counts from when the target comes to the command, which may be seconds after it was sent:
   * the end itself is told behind it, unless the key may not be ours, which only the replies tell.
   */
  exactEnd(record: SnapshotRecord, index: number, ours: boolean): void {
    if (record.expireAt === 0) return
    if (!ours) {
      this.inexact.push(index)
      return
    }
    this.end(record, index)
  }

  /** Appends the deletion of a record that has ended: of a cluster's key somebody must know when it is elsewhere. */
  gone({ db, key }: SnapshotRecord, index: number): void {
    this.deletes([{ db, key }])
    if (this.options.ofCluster !== true) return
    this.owners[this.owners.length - 1] = index
    this.ended.add(index)
  }

  /** How many of the records that count as expired were refused. */
  unsure(refused: ReadonlyMap<number, string>): number {
    let count = 0
    for (const index of this.ended) if (refused.has(index)) count++
    return count
  }

  /** A name under which the value of a key is made, in the slot of the key where that matters. */
  temporaryName(key: Buffer): string {
    return temporaryName(this.options.migration, this.options.ofCluster === true ? key : undefined)
  }

  /** Appends PEXPIREAT with the end of a record. */
  end(record: SnapshotRecord, index: number): void {
    const { out } = this
    this.owners.push(index)
    out.command(3)
    out.text('PEXPIREAT')
    if (record instanceof PackedRecord) out.range(record.keyData, record.keyStart, record.keyEnd)
    else out.bytes(record.key)
    out.integer(record.expireAt)
  }

  /** Notes what is lost of a key. @throws MigrateError FM_UNSUPPORTED when nothing may be */
  leaveOut(what: string, { db, key }: SnapshotRecord): void {
    if (this.options.unsupported === 'fail')
      throw new MigrateError(
        'FM_UNSUPPORTED',
        `the target cannot hold the ${what} of ${key.toString('latin1').slice(0, 100)}`,
        'Give --unsupported skip to leave such keys out, or degrade to carry what can be carried.',
      )
    this.notCarried.push({ what, db, key: Buffer.from(key) })
  }
}
