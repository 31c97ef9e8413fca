import type { AdapterContext, Contents, Finding, Shard, Source, SourceCapabilities } from '@ferrite-migrate/contracts'
import { FileFeed, filePathOf } from '@ferrite-migrate/files'
import { ByteWindow, inspectRdb, RdbReader } from '@ferrite-migrate/protocol'
import { RdbFileShard } from './rdb-file-shard.js'

/** One RDB file as a source. */
export class RdbFileSource implements Source {
  readonly capabilities: SourceCapabilities
  readonly shards: readonly Shard[]
  readonly description: Readonly<Record<string, string>>
  private readonly path: string
  private readonly inspects: boolean
  private readonly found: Contents | null

  private constructor(context: AdapterContext, path: string, facts: Record<string, string>, contents: Contents | null) {
    const { options } = context
    this.path = path
    this.inspects = options.inspect === true
    this.found = contents
    this.description = { product: 'RDB file', ...facts, capture: 'file' }
    this.capabilities = {
      kind: 'file',
      changes: 'none',
      resume: path === '-' ? 'none' : 'snapshot',
      uniqueKeys: true,
      readOnce: path === '-',
    }
    this.shards = [
      new RdbFileShard('0', {
        path,
        // What was read beforehand was checked then.
        checksum: options.checksum === true && contents === null,
        batchSize: Number(options['batch-size']),
        sliceLimit: Number(options['slice-limit']),
        keys: contents?.keys ?? null,
      }),
    ]
  }

  /**
   * Opens the file; unless told otherwise reads it once, so that everything it holds is known before anything is written.
   * @throws MigrateError FM_FILE_*, FM_RDB_*
   */
  static async open(context: AdapterContext): Promise<RdbFileSource> {
    const path = filePathOf(context.url)
    if (path === '-') return new RdbFileSource(context, path, { file: 'standard input' }, null)
    const feed = await FileFeed.open(path)
    try {
      const facts = { file: path, bytes: String(feed.size), compression: feed.compression }
      if (context.options.inspect !== true) {
        // At least its head must be an RDB's.
        for await (const event of new RdbReader(new ByteWindow(feed)).read()) {
          if (event.kind === 'records') event.block.release()
          break
        }
        return new RdbFileSource(context, path, facts, null)
      }
      const contents = await inspectRdb(feed, context.options.checksum === true, context.signal)
      const version = `${contents.valkey ? 'VALKEY' : 'REDIS'} ${contents.rdbVersion}`
      return new RdbFileSource(context, path, { ...facts, version, keys: String(contents.keys) }, contents)
    } finally {
      await feed.close()
    }
  }

  async contents(): Promise<Contents | null> {
    return this.found
  }

  async preflight(): Promise<readonly Finding[]> {
    const findings: Finding[] = []
    if (this.found === null)
      findings.push({
        level: this.path === '-' || !this.inspects ? 'info' : 'warn',
        code: 'source-unread',
        text: 'the file is not read beforehand: what the target cannot hold shows only while it is written',
      })
    else if (this.found.expired > 0)
      findings.push({
        level: 'info',
        code: 'source-expired',
        text: `${this.found.expired} keys of the file have expired by now and are left out`,
      })
    return findings
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every reading closes its own file.
  }
}
