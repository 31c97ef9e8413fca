import { type ChangeBatch, type ChangeRecord, type Checkpoint, MigrateError } from '@ferrite-migrate/contracts'
import { commandSpecOf, ReplyError, touchedKeys } from '@ferrite-migrate/protocol'
import { isRedirect } from '../target-error.js'
import { WriteTally } from '../write-tally.js'
import type { GroupWrites } from './group-writes.js'
import { mustPass } from './routed-commands.js'
import type { SlotCheckpoints } from './slot-checkpoints.js'
import { groupChanges, type Step } from './slot-groups.js'
import type { TargetNode } from './target-node.js'
import { lostNode } from './target-node.js'
import type { TargetNodes } from './target-nodes.js'

/** Commands that may be done once more without harm where the place they come from is not known. */
const REPEATABLE = new Set(['DEL', 'UNLINK', 'PEXPIREAT', 'PERSIST'])

/** Batches of changes of one lane: one is under way at a time. */
export class ClusterChanges {
  private readonly nodes: TargetNodes
  private readonly groups: GroupWrites
  private readonly clientName: string | undefined

  constructor(nodes: TargetNodes, groups: GroupWrites, clientName: string | undefined) {
    this.nodes = nodes
    this.groups = groups
    this.clientName = clientName
  }

  async write(
    { records }: ChangeBatch,
    checkpoint: Checkpoint | undefined,
    checkpoints: SlotCheckpoints | null,
  ): Promise<WriteTally> {
    const tally = new WriteTally()
    const since = checkpoints?.begin()
    if (checkpoint !== undefined && checkpoints !== null && records.length === 0) {
      await checkpoints.write(checkpoint)
      return tally
    }
    for (const record of records) mustHaveDatabase(record, this.nodes.label)
    const fail = (record: ChangeRecord, reason: string): void => failChange(tally, record, reason)
    const grouped = groupChanges(records, (slot) => checkpoints?.doneUpTo(slot) ?? -1)
    if (checkpoints !== null) for (const record of records) mustHavePlace(record)
    for (const { record, reason } of grouped.refused) fail(record, reason)
    for (const step of grouped.steps) {
      if (step.kind === 'groups') {
        const sink = { byteLength: 0, fail }
        await this.groups.write(step.groups, checkpoints, sink)
        tally.byteLength += sink.byteLength
      } else await this.tell(step, checkpoints, fail)
    }
    tally.written = Math.max(0, records.length - tally.failed.length)
    if (since?.aborted) throw lostNode(`${this.nodes.label} is looked at anew`)
    if (checkpoint !== undefined && checkpoints !== null)
      await checkpoints.reached(checkpoint, lastPlace(records), tally.dirtyKeys())
    return tally
  }

  /** What names no key. Each node is emptied in one transaction with its mark: who finds it empty without one begins anew. */
  private async tell(
    step: Exclude<Step, { kind: 'groups' }>,
    checkpoints: SlotCheckpoints | null,
    fail: (record: ChangeRecord, reason: string) => void,
  ): Promise<void> {
    const { record } = step
    const all = await this.primaries()
    const nodes = step.kind === 'flush' || step.everywhere ? all : all.slice(0, 1)
    for (const node of nodes) {
      const error = await (step.kind === 'flush'
        ? this.flush(node, record, checkpoints)
        : this.once(node, [record.resp], 1))
      if (error === null || /already exists/.test(error)) continue
      if (isRedirect(error)) throw lostNode(`${node.endpoint.label} is no primary any more`)
      fail(record, error)
      break
    }
    if (step.kind === 'flush') checkpoints?.emptied()
  }

  private async primaries(): Promise<readonly TargetNode[]> {
    try {
      await this.nodes.lookIfOld()
      return this.nodes.all
    } catch (error) {
      throw lostNode((mustPass(error) as MigrateError).message)
    }
  }

  private flush(node: TargetNode, record: ChangeRecord, checkpoints: SlotCheckpoints | null): Promise<string | null> {
    const [edge] = this.nodes.edgesOf(node)
    const mark = checkpoints?.lastMark(edge) ?? null
    if (mark === null) return this.once(node, [record.resp], 1)
    const { key, value } = mark
    const set = Buffer.concat([
      Buffer.from(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n`),
      key,
      Buffer.from(`\r\n$${Buffer.byteLength(value)}\r\n${value}\r\n`),
    ])
    return this.once(
      node,
      [Buffer.from('*1\r\n$5\r\nMULTI\r\n'), record.resp, set, Buffer.from('*1\r\n$4\r\nEXEC\r\n')],
      4,
    )
  }

  /** The first error that is answered, or null. A loss of the node meanwhile leaves unknown what was done. */
  private async once(node: TargetNode, commands: readonly Buffer[], replies: number): Promise<string | null> {
    try {
      const link = await node.link(this.clientName)
      const answers = await link.pipeline((out) => {
        for (const command of commands) out.raw(command)
        return replies
      })
      const last = answers.at(-1)
      const inner = Array.isArray(last) ? last : []
      const error = [...answers, ...inner].find((answer) => answer instanceof ReplyError)
      return error instanceof ReplyError ? error.message : null
    } catch (error) {
      throw lostNode(`${(mustPass(error) as MigrateError).message}, with changes under way`)
    }
  }
}

function mustHaveDatabase({ db }: ChangeRecord, label: string): void {
  if (db === 0) return
  throw new MigrateError(
    'FM_DB_RANGE',
    `${label} is a cluster, which has database 0 only, and the source writes to database ${db}`,
    `Put it into database 0 with --db-map ${db}:0, or take only database 0 (--db 0).`,
  )
}

function lastPlace(records: readonly ChangeRecord[]): number | undefined {
  let last: number | undefined
  for (const { at } of records) if (at !== undefined && at > (last ?? -1)) last = at
  return last
}

function mustHavePlace({ name, at }: ChangeRecord): void {
  if (at !== undefined || REPEATABLE.has(name) || commandSpecOf(name).kind !== 'write') return
  throw new MigrateError(
    'FM_CONTRACT',
    `${name} does not tell its place in the stream: after a loss nobody could know whether a slot of the cluster has it`,
    'Use --apply state.',
  )
}

function failChange(tally: WriteTally, record: ChangeRecord, reason: string): void {
  const touched = touchedKeys(commandSpecOf(record.name), record.argv, record.db)
  const text = `${record.name}: ${reason.slice(0, 160)}`
  if (touched.length === 0) tally.failed.push({ db: record.db, key: null, reason: text, code: 'refused' })
  for (const { db, key } of touched) tally.failed.push({ db, key: Buffer.from(key), reason: text, code: 'refused' })
}
