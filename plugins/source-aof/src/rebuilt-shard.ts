import type { DirtyKey, ReadRequest, Shard, SnapshotRecord, SourceEvent } from '@ferrite-migrate/contracts'
import { keyName, type RebuiltState } from './rebuilt-state.js'

const DELETED_AT_ONCE = 1000

/** A rebuilt state as a snapshot: all of it, or the keys of a window, those deleted in it included. */
export class RebuiltShard implements Shard {
  readonly id: string
  private readonly state: RebuiltState
  private readonly batchSize: number
  private readonly byteLength: number

  constructor(id: string, state: RebuiltState, batchSize: number, byteLength: number) {
    this.id = id
    this.state = state
    this.batchSize = batchSize
    this.byteLength = byteLength
  }

  async *read({ signal }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { touched } = this.state
    const reader = this.state.reader()
    const left = touched === null ? null : new Set(touched)
    try {
      const size = [...(await reader.size()).values()].reduce((sum, keys) => sum + keys, 0)
      const keys = left === null ? size : left.size
      yield { kind: 'sync', mode: 'full', keys, bytes: this.byteLength }
      // What a page has of the file is not known: each key counts for the same.
      let done = 0
      let told = 0
      const share = (count: number): number => {
        done += count
        const upTo = keys === 0 ? 0 : Math.min(this.byteLength, Math.floor((this.byteLength * done) / keys))
        const byteLength = upTo - told
        told = upTo
        return byteLength
      }
      for (const [name, count] of this.state.leftOut)
        yield { kind: 'left-out', what: `command ${name}`, count, examples: [] }
      for await (const page of reader.keys()) {
        const wanted = left === null ? page : page.filter(({ db, key }) => left.delete(keyName(db, key)))
        for (let from = 0; from < wanted.length; from += this.batchSize) {
          if (signal.aborted) return
          const part = wanted.slice(from, from + this.batchSize)
          const read = await reader.read(
            part[0].db,
            part.map(({ key }) => key),
          )
          const records = read.filter((record): record is SnapshotRecord => record !== null)
          const plain = records.filter(({ value }) => value.form !== 'sliced')
          if (plain.length > 0) yield { kind: 'snapshot', records: plain, byteLength: share(plain.length) }
          for (const record of records)
            if (record.value.form === 'sliced') yield { kind: 'snapshot', records: [record], byteLength: share(1) }
        }
      }
      if (left !== null)
        for (const keys of deleted(left)) {
          if (signal.aborted) return
          yield { kind: 'dirty', keys }
        }
      yield { kind: 'snapshot-end' }
    } finally {
      await reader.close()
    }
  }
}

/** What was touched in the window and is no more. */
function* deleted(names: ReadonlySet<string>): Generator<DirtyKey[]> {
  let keys: DirtyKey[] = []
  for (const name of names) {
    const at = name.indexOf(':')
    keys.push({ db: Number(name.slice(0, at)), key: Buffer.from(name.slice(at + 1), 'latin1') })
    if (keys.length < DELETED_AT_ONCE) continue
    yield keys
    keys = []
  }
  if (keys.length > 0) yield keys
}
