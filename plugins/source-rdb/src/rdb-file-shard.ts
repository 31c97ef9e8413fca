import { MigrateError, type ReadRequest, type Shard, type SourceEvent } from '@ferrite-migrate/contracts'
import { FileFeed, fileMark, mustBeFile } from '@ferrite-migrate/files'
import { ByteWindow, type RdbPlace, RdbReader } from '@ferrite-migrate/protocol'

export interface RdbFileShardOptions {
  readonly path: string
  readonly checksum: boolean
  readonly batchSize: number
  readonly sliceLimit: number
  /** Keys in the file, where it was read before. */
  readonly keys: number | null
}

/** The records of one RDB file, from its start or from a place of an earlier reading. */
export class RdbFileShard implements Shard {
  readonly id: string
  private readonly options: RdbFileShardOptions

  constructor(id: string, options: RdbFileShardOptions) {
    this.id = id
    this.options = options
  }

  async *read({ from, signal }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { path, checksum, batchSize, sliceLimit, keys } = this.options
    const { place, mark: former } = from === undefined ? {} : parsePlace(from)
    if (former !== undefined) await mustBeFile(path, former, true)
    const mark = path === '-' ? '' : await fileMark(path, true)
    const feed = await FileFeed.open(path, place?.offset ?? 0)
    try {
      const reader = new RdbReader(new ByteWindow(feed), {
        checksum,
        batchRecords: batchSize,
        sliceLimit,
        ...(place === undefined ? {} : { from: place }),
      })
      for await (const event of reader.read()) {
        if (signal.aborted) {
          if (event.kind === 'records') event.block.release()
          return
        }
        if (event.kind === 'header')
          yield {
            kind: 'sync',
            mode: place === undefined ? 'full' : 'partial',
            ...(keys === null ? {} : { keys }),
            ...(feed.size === null || feed.compression !== 'none' ? {} : { bytes: feed.size }),
            rdbVersion: event.version,
          }
        else if (event.kind === 'records') {
          const { records, byteLength, block } = event
          yield {
            kind: 'snapshot',
            records,
            byteLength,
            position: formatPlace(event.place, mark),
            release: () => block.release(),
          }
        } else if (event.kind === 'function') yield { kind: 'aside', what: 'function', payload: event.source }
        else if (event.kind === 'module-aux') yield { kind: 'aside', what: 'module-aux', payload: event.payload }
        else if (event.kind === 'aux' && event.name === 'lua')
          yield { kind: 'aside', what: 'script', payload: event.value }
      }
      yield { kind: 'snapshot-end' }
    } finally {
      await feed.close()
    }
  }
}

/** With what the file is known by: what follows in another one would be mixed with what was read. */
function formatPlace({ offset, db, version }: RdbPlace, mark: string): string {
  return `rdb:${offset}:${db}:${version}:${mark}`
}

function parsePlace(position: string): { readonly place: RdbPlace; readonly mark: string } {
  const match = /^rdb:(\d{1,15}):(\d{1,5}):(\d{1,4}):(\d{1,5}\.[0-9a-f]{16})$/.exec(position)
  if (match === null)
    throw new MigrateError(
      'FM_POSITION_INVALID',
      `"${position.slice(0, 80)}" is no position of an RDB file`,
      'Start again without it.',
    )
  return { place: { offset: Number(match[1]), db: Number(match[2]), version: Number(match[3]) }, mark: match[4] }
}
