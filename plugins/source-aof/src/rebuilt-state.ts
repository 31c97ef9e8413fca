import { once } from 'node:events'
import { MigrateError, type PackedChange } from '@ferrite-migrate/contracts'
import { FileFeed } from '@ferrite-migrate/files'
import { AofReader, commandSpecOf, RdbReader, ReplyCounter, RespWriter, touchedKeys } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisKeyReader, RedisLink } from '@ferrite-migrate/redis'
import type { AofFile } from './aof-files.js'
import { openPart } from './aof-part.js'
import { ScratchServer } from './scratch-server.js'

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

  private constructor(server: ScratchServer, touched: KeyNames | null) {
    this.server = server
    this.touched = touched
  }

  /** @throws MigrateError FM_AOF_SCRATCH, FM_AOF_CORRUPT, FM_RDB_* */
  static async build(options: RebuildOptions): Promise<RebuiltState> {
    const { files, scratch, directory, after } = options
    const first = files[0]
    const rdbBytes = first === undefined ? 0 : await rdbLength(first)
    const server = await ScratchServer.start(scratch, directory, rdbBytes === 0 ? null : head(first.path, rdbBytes))
    const touched = after === undefined ? null : new Set<string>()
    try {
      await replay(server.endpoint, options, rdbBytes, touched)
      return new RebuiltState(server, touched)
    } catch (error) {
      await server.stop()
      throw error
    }
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

async function replay(
  endpoint: Endpoint,
  options: RebuildOptions,
  rdbBytes: number,
  touched: Set<string> | null,
): Promise<void> {
  const link = await RedisLink.open(endpoint)
  const out = new RespWriter(1 << 20)
  const refused: string[] = []
  let sent = 0
  let answered = 0
  let wake: (() => void) | null = null
  const counter = new ReplyCounter(
    (_index, _inner, text) => {
      if (refused.length < 3) refused.push(text)
    },
    () => undefined,
    () => {
      answered++
      wake?.()
    },
  )
  link.takeOver((data) => counter.push(data))
  let db = 0
  const send = async (records: readonly PackedChange[]): Promise<void> => {
    for (const record of records) {
      if (record.db !== db) {
        out.call('SELECT', record.db)
        db = record.db
        sent++
      }
      out.raw(record.data, record.start, record.end)
      sent++
    }
    if (!link.send(out.take())) await Promise.race([once(link.socket, 'drain'), link.closed])
  }
  try {
    for (const [index, file] of options.files.entries()) {
      const skip = index === 0 ? rdbBytes : 0
      const { feed, window } = await openPart(file, skip)
      try {
        const reader = new AofReader(window, {
          offset: skip,
          ...(options.before === undefined ? {} : { before: options.before }),
        })
        for await (const batch of reader.read()) {
          await send(batch.records)
          if (touched !== null && batch.time > options.after!) for (const record of batch.records) note(record, touched)
          batch.release()
          if (options.signal.aborted) return
        }
        if (reader.end?.stopped) break
      } finally {
        await feed.close()
      }
    }
    while (answered < sent) {
      const more = new Promise<void>((resolve) => {
        wake = resolve
      })
      const gone = await Promise.race([more.then(() => false), link.closed.then(() => true)])
      if (gone)
        throw new MigrateError('FM_AOF_SCRATCH', 'the server that rebuilds the state ended', 'It may lack memory.')
    }
    if (refused.length > 0)
      throw new MigrateError(
        'FM_AOF_SCRATCH',
        `the server that rebuilds the state refused a command: ${refused[0].slice(0, 160)}`,
        'Give one that is as new as the server that wrote the file: --source-option scratch=/path/redis-server.',
      )
  } finally {
    link.close()
  }
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
