import type { ConflictPolicy, SnapshotRecord } from '@ferrite-migrate/contracts'
import { isOpaque, isUnknownType } from '@ferrite-migrate/protocol'
import type { BatchAnswers } from './batch-answers.js'
import { classify, isRedirect, patienceMs, type RefusingEndpoint, refusalError } from './target-error.js'
import type { WriteTally } from './write-tally.js'

export interface SettlementOptions {
  readonly endpoint: RefusingEndpoint
  readonly onConflict: ConflictPolicy
  /** The batch was sent before, and nobody knows what was done of it. */
  readonly resent: boolean
  readonly startedAt: number
  readonly retryMs: number
  /** Records whose slot is at another node are somebody else's to write. */
  readonly ofCluster: boolean
}

/** What becomes of the records of a batch by their answers: they are counted, or must be written again. */
export class Settlement {
  readonly again: SnapshotRecord[] = []
  /** Indexes in `again` of those whose payload the target cannot read. */
  readonly typedOnly = new Set<number>()
  /** The target takes them later, not at once. */
  pause = false
  private readonly options: SettlementOptions
  private readonly tally: WriteTally

  constructor(options: SettlementOptions, tally: WriteTally) {
    this.options = options
    this.tally = tally
  }

  /** @param expired the records that were not sent, or sent as deletions */
  settle(records: readonly SnapshotRecord[], answers: BatchAnswers, expired: number): void {
    const { tally } = this
    const { onConflict } = this.options
    const before = tally.failed.length
    const elsewhere = tally.moved.length
    for (const [index, text] of answers.refused) this.refused(records[index], index, text, answers)
    let skipped = expired
    if (onConflict === 'fail')
      for (const index of answers.present) tally.fail(records[index], 'the key is already there', 'conflict')
    else skipped += answers.present.size
    tally.skipped += skipped
    tally.written +=
      records.length - this.again.length - (tally.failed.length - before) - (tally.moved.length - elsewhere) - skipped
  }

  private refused(record: SnapshotRecord, index: number, text: string, answers: BatchAnswers): void {
    const { endpoint, onConflict, resent, startedAt, retryMs, ofCluster } = this.options
    if (ofCluster && isRedirect(text)) {
      this.tally.moved.push({ record, text })
      return
    }
    const kind = classify(text)
    switch (kind) {
      case 'conflict':
        // What is there may be ours, of the time before the loss.
        if (resent) return
        if (onConflict === 'skip') answers.present.add(index)
        else this.tally.fail(record, text, 'conflict')
        return
      case 'payload':
        this.unreadable(record)
        return
      case 'passing':
      case 'full':
        if (Date.now() - startedAt > patienceMs(kind, retryMs)) throw refusalError(endpoint, text)
        this.pause = true
        this.again.push(record)
        return
      case 'fatal':
        throw refusalError(endpoint, text)
      default:
        this.tally.fail(record, text.slice(0, 200), 'refused')
    }
  }

  /** A payload that the target does not read goes again as commands, unless only a server could take it apart. */
  private unreadable(record: SnapshotRecord): void {
    const { value } = record
    if (value.form === 'rdb' && !isOpaque(value.type, value.rdbVersion)) {
      this.typedOnly.add(this.again.length)
      this.again.push(record)
      return
    }
    const what =
      value.form === 'rdb' && isUnknownType(value.type, value.rdbVersion)
        ? 'a value of this type, which is not known here either'
        : 'a value of this module'
    this.tally.fail(record, `the target cannot read ${what}`, 'not-carried')
  }
}
