import { FileFeed } from '@ferrite-migrate/files'
import { ByteWindow } from '@ferrite-migrate/protocol'
import type { AofFile } from './aof-files.js'

/** An open file of an append-only file: a window over it, and whether an RDB comes first. */
export interface AofPart {
  readonly feed: FileFeed
  readonly window: ByteWindow
  readonly startsWithRdb: boolean
}

/** Opens one file; `from` is a position behind any RDB. The caller closes the feed. */
export async function openPart(file: AofFile, from = 0): Promise<AofPart> {
  const feed = await FileFeed.open(file.path, from)
  const window = new ByteWindow(feed)
  const there = from === 0 && (await window.need(6))
  const magic = there ? window.data.toString('latin1', window.pos, window.pos + 6) : ''
  return { feed, window, startsWithRdb: magic.startsWith('REDIS') || magic === 'VALKEY' }
}
