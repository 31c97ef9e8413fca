import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MigrateError, type PackedChange } from '@ferrite-migrate/contracts'
import { FileFeed } from '@ferrite-migrate/files'
import { AofReader, absoluteExpiry, commandSpecOf, RdbReader, RespWriter, touchedKeys } from '@ferrite-migrate/protocol'
import { RedisKeyReader } from '@ferrite-migrate/redis'
import type { AofFile } from './aof-files.js'
import { openPart } from './aof-part.js'
import { SCRATCH_FILE, ScratchServer } from './scratch-server.js'

export interface RebuildOptions {
  readonly files: readonly AofFile[]
  readonly before: number | undefined
  readonly after: number | undefined
  readonly scratch: string | undefined
  readonly directory: string
  readonly signal: AbortSignal
}

/** Names of keys with their database; Latin-1 text, so that any byte is kept. */
export type KeyNames = ReadonlySet<string>

export function keyName(db: number, key: Buffer): string {
  return `${db}:${key.toString('latin1')}`
}

/** The state that an append-only file describes, rebuilt in a server of our own. */
export class RebuiltState {
  readonly server: ScratchServer
  /** Keys touched after `after`; null = all count. */
  readonly touched: KeyNames | null

  /** Commands of the file that are no data, and how often they came: none of them was run. */
  readonly leftOut: ReadonlyMap<string, number>

  private constructor(server: ScratchServer, touched: KeyNames | null, leftOut: ReadonlyMap<string, number>) {
    this.server = server
    this.touched = touched
    this.leftOut = leftOut
  }

  /** @throws MigrateError FM_AOF_SCRATCH, FM_AOF_CORRUPT, FM_RDB_* */
  static async build(options: RebuildOptions): Promise<RebuiltState> {
    const { files, scratch, directory, after } = options
    const first = files[0]
    const rdbBytes = first === undefined ? 0 : await rdbLength(first)
    const touched = after === undefined ? null : new Set<string>()
    const path = join(directory, SCRATCH_FILE)
    const leftOut = new Map<string, number>()
    await pipeline(loadable(options, rdbBytes, touched, leftOut), createWriteStream(path, { mode: 0o600 }))
    if (options.signal.aborted)
      throw new MigrateError('FM_INTERRUPTED', 'stopped while the file was read', 'Start again.')
    return new RebuiltState(await ScratchServer.start(scratch, directory, options.signal), touched, leftOut)
  }

  reader(): RedisKeyReader {
    return new RedisKeyReader(this.server.endpoint, { digest: { fieldExpiry: true } })
  }
}

/** Bytes of the RDB that a file starts with, 0 = none. */
async function rdbLength(file: AofFile): Promise<number> {
  const { feed, window, startsWithRdb } = await openPart(file)
  try {
    if (!startsWithRdb) return 0
    for await (const event of new RdbReader(window, {}).read()) {
      if (event.kind === 'end') return event.byteLength
      if (event.kind !== 'records') continue
      for (const { value } of event.records) if (value.form === 'sliced') for await (const _ of value.slices);
      event.block.release()
    }
    return 0
  } finally {
    await feed.close()
  }
}

async function* head(path: string, length: number): AsyncGenerator<Buffer> {
  const feed = await FileFeed.open(path)
  try {
    for (let left = length; left > 0; ) {
      const chunk = await feed.next()
      if (chunk === null) return
      const part = chunk.subarray(0, Math.min(left, chunk.length))
      left -= part.length
      // The feed's buffer is used again; a stream keeps what it is given.
      yield Buffer.from(part)
    }
  } finally {
    await feed.close()
  }
}

/** Writes what the state is rebuilt from as one file: the RDB, and all commands up to the moment. */
async function* loadable(
  options: RebuildOptions,
  rdbBytes: number,
  touched: Set<string> | null,
  leftOut: Map<string, number>,
): AsyncGenerator<Buffer> {
  if (rdbBytes > 0) yield* head(options.files[0].path, rdbBytes)
  const out = new RespWriter(1 << 20)
  let db = 0
  for (const [index, file] of options.files.entries()) {
    const skip = index === 0 ? rdbBytes : 0
    const { feed, window } = await openPart(file, skip)
    try {
      const reader = new AofReader(window, {
        offset: skip,
        ...(options.before === undefined ? {} : { before: options.before }),
      })
      for await (const batch of reader.read()) {
        for (const record of batch.records) {
          if (!isData(record.name)) {
            leftOut.set(record.name, (leftOut.get(record.name) ?? 0) + 1)
            continue
          }
          if (record.db !== db || out.at === 0) out.call('SELECT', record.db)
          db = record.db
          const absolute = commandSpecOf(record.name).relativeExpiry
            ? absoluteExpiry(record.name, record.argv, batch.time)
            : null
          if (absolute === null) out.raw(record.data, record.start, record.end)
          else for (const argv of absolute) out.call(...argv)
        }
        if (touched !== null && batch.time > options.after!) for (const record of batch.records) note(record, touched)
        batch.release()
        if (options.signal.aborted) return
        yield out.take()
      }
      if (reader.end?.stopped) break
    } finally {
      await feed.close()
    }
  }
}

/** Only what changes keys is run: everything else of a file from elsewhere is counted and left out. */
function isData(name: string): boolean {
  const { kind } = commandSpecOf(name)
  return kind === 'write' || kind === 'flush' || kind === 'swapdb'
}

function note(record: PackedChange, touched: Set<string>): void {
  const spec = commandSpecOf(record.name)
  if (spec.kind === 'write')
    for (const { db, key } of touchedKeys(spec, record.argv, record.db)) touched.add(keyName(db, key))
  else if (spec.kind === 'flush' || spec.kind === 'swapdb')
    throw new MigrateError(
      'FM_AOF_WINDOW',
      `${record.name} lies in the window: it touches keys that the file does not name`,
      'Import without --after, or choose a window without it.',
    )
}
