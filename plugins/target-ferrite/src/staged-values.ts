import type { ConflictPolicy, SnapshotRecord } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import type { BatchAnswers } from './batch-answers.js'
import type { LaneConnection } from './lane-connection.js'
import type { LaneOptions } from './lane-options.js'
import type { Staged } from './rendered-batch.js'
import { isRedirect, refusalError } from './target-error.js'

/** Second step of values that were written under a temporary name: they get their own. */
export class StagedValues {
  private readonly options: LaneOptions
  private readonly connection: LaneConnection

  constructor(options: LaneOptions, connection: LaneConnection) {
    this.options = options
    this.connection = connection
  }

  /** Puts those of a batch in place whose first step was done; what this is answered is added to the answers. */
  async place(
    db: number,
    staged: readonly Staged[],
    records: readonly SnapshotRecord[],
    onConflict: ConflictPolicy,
    answers: BatchAnswers,
  ): Promise<void> {
    const whole = staged.filter(({ index }) => !answers.refused.has(index))
    if (whole.length === 0) return
    if (onConflict === 'replace') return this.replace(db, whole, records, answers)
    for (const { index, temporary } of whole) {
      const became = await this.renameUnlessThere(records[index], temporary)
      if (became === 'present') answers.present.add(index)
      else if (became !== 'renamed') answers.refuse(index, became.refused)
    }
  }

  private async replace(
    db: number,
    staged: readonly Staged[],
    records: readonly SnapshotRecord[],
    answers: BatchAnswers,
  ): Promise<void> {
    const { out } = this.connection
    const owners: number[] = []
    const { made } = await this.connection.inDatabase(db, (link) => {
      for (const { index, temporary } of staged) {
        const record = records[index]
        out.call('RENAME', temporary, record.key)
        owners.push(index)
        if (record.expireAt > 0) {
          out.call('PEXPIREAT', record.key, record.expireAt)
          owners.push(index)
        }
      }
      return this.connection.fly(link, owners.length)
    })
    const flight = await made
    for (const error of flight.errors) answers.refuse(owners[error.index], error.text)
  }

  /** `present` when the key was there already; the temporary value is then removed. A node of a cluster may refuse a key that is not its own. */
  async renameUnlessThere(
    record: SnapshotRecord,
    temporary: string,
  ): Promise<'renamed' | 'present' | { readonly refused: string }> {
    const link = await this.options.control()
    const [renamed] = await link.pipeline((out) => {
      out.call('RENAMENX', temporary, record.key)
      out.call('DEL', temporary)
      return 2
    }, record.db)
    if (renamed instanceof ReplyError && this.options.ofCluster === true && isRedirect(renamed.message))
      return { refused: renamed.message }
    if (renamed instanceof ReplyError) throw refusalError(this.options.endpoint, renamed.message)
    if (renamed === 1 && record.expireAt > 0)
      await link.pipeline((out) => {
        out.call('PEXPIREAT', record.key, record.expireAt)
        return 1
      }, record.db)
    return renamed === 1 ? 'renamed' : 'present'
  }
}
