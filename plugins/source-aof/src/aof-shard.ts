import {
  type Lag,
  MigrateError,
  type Position,
  type ReadRequest,
  type Shard,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { fileMark, mustBeFile } from '@ferrite-migrate/files'
import { AofReader, RdbReader } from '@ferrite-migrate/protocol'
import type { AofFile } from './aof-files.js'
import { openPart } from './aof-part.js'

export interface AofShardOptions {
  readonly files: readonly AofFile[]
  readonly before: number | undefined
  readonly checksum: boolean
  readonly batchSize: number
  readonly sliceLimit: number
  readonly rdbKeys: number
}

/** Where a reading stands: which file, how many of its bytes, and the selected database. */
interface Place {
  readonly file: number
  readonly offset: number
  readonly db: number
  /** What the file is known by. */
  readonly mark: string
}

/** The commands of an append-only file as changes, an RDB at its start as the snapshot before them. */
export class AofShard implements Shard {
  readonly id: string
  private readonly options: AofShardOptions

  constructor(id: string, options: AofShardOptions) {
    this.id = id
    this.options = options
  }

  covers(position: Position, mark: Position): boolean {
    const a = parsePlace(position)
    const b = parsePlace(mark)
    return a.file > b.file || (a.file === b.file && a.offset >= b.offset)
  }

  async lag(applied: Position | undefined): Promise<Lag> {
    const { files } = this.options
    const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0)
    if (applied === undefined) return { bytes: total }
    const { file, offset } = parsePlace(applied)
    const before = files.slice(0, file).reduce((sum, { byteLength }) => sum + byteLength, 0)
    return { bytes: Math.max(0, total - before - offset) }
  }

  async *read({ from, signal, changes }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { files, before, rdbKeys } = this.options
    const start = from === undefined ? null : parsePlace(from)
    if (start !== null) {
      const file = files[start.file]
      if (file === undefined) throw noPlace(from ?? '')
      await mustBeFile(file.path, start.mark, false)
    }
    yield { kind: 'sync', mode: start === null ? 'full' : 'partial', keys: rdbKeys }
    let live = start !== null
    for (const [index, file] of files.entries()) {
      if (index < (start?.file ?? 0)) continue
      const resumed = start !== null && index === start.file
      const part = await openPart(file, resumed ? start.offset : 0)
      const mark = await fileMark(file.path, false)
      try {
        if (part.startsWithRdb) yield* this.base(part.window, signal)
        // Whoever stops in the middle of an RDB does not stand where commands begin.
        if (signal.aborted) return
        if (!live)
          yield {
            kind: 'snapshot-end',
            position: formatPlace({ file: index, offset: part.window.offset(), db: 0, mark }),
          }
        live = true
        if (!changes) return
        const reader = new AofReader(part.window, {
          offset: (resumed ? start.offset : 0) + part.window.offset(),
          db: resumed ? start.db : 0,
          batchCommands: this.options.batchSize,
          ...(before === undefined ? {} : { before }),
        })
        for await (const { records, byteLength, offset, db, release } of reader.read()) {
          if (signal.aborted) {
            release()
            return
          }
          yield {
            kind: 'changes',
            records,
            byteLength,
            position: formatPlace({ file: index, offset, db, mark }),
            release,
          }
        }
        if (signal.aborted || reader.end?.stopped) return
      } finally {
        await part.feed.close()
      }
    }
  }

  private async *base(
    window: ConstructorParameters<typeof RdbReader>[0],
    signal: AbortSignal,
  ): AsyncGenerator<SourceEvent> {
    const { checksum, batchSize, sliceLimit } = this.options
    for await (const event of new RdbReader(window, { checksum, batchRecords: batchSize, sliceLimit }).read()) {
      if (signal.aborted) return
      if (event.kind === 'records') {
        const { records, byteLength, block } = event
        yield { kind: 'snapshot', records, byteLength, release: () => block.release() }
      } else if (event.kind === 'function') yield { kind: 'aside', what: 'function', payload: event.source }
      else if (event.kind === 'module-aux') yield { kind: 'aside', what: 'module-aux', payload: event.payload }
    }
  }
}

function formatPlace({ file, offset, db, mark }: Place): string {
  return `aof:${file}:${offset}:${db}:${mark}`
}

function noPlace(position: string): MigrateError {
  return new MigrateError(
    'FM_POSITION_INVALID',
    `"${position.slice(0, 80)}" is no position of this append-only file`,
    'Start again without it.',
  )
}

function parsePlace(position: string): Place {
  const match = /^aof:(\d{1,9}):(\d{1,15}):(\d{1,5}):(\d{1,5}\.[0-9a-f]{16})$/.exec(position)
  if (match === null) throw noPlace(position)
  return { file: Number(match[1]), offset: Number(match[2]), db: Number(match[3]), mark: match[4] }
}
