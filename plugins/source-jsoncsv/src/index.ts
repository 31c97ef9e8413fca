import { type AdapterContext, type Finding, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { FileFeed, filePathOf } from '@ferrite-migrate/files'
import { type Format, JsonCsvShard } from './jsoncsv-shard.js'
import { RowMapper, type RowType } from './row-mapper.js'
import type { Encoding } from './text-feed.js'

/** The scheme for a file by its name; null = its name does not tell. Compressed files are told by the name before. */
export function schemeOf(path: string): Format | null {
  const name = path.toLowerCase().replace(/\.(gz|zst|zstd)$/, '')
  if (name.endsWith('.json')) return 'json'
  if (/\.(ndjson|jsonl|ldjson)$/.test(name)) return 'ndjson'
  if (name.endsWith('.csv')) return 'csv'
  return /\.(tsv|tab)$/.test(name) ? 'tsv' : null
}

/** @throws MigrateError FM_CONFIG_INVALID, FM_FILE_UNREADABLE */
export async function createSource({ url, options }: AdapterContext): Promise<Source> {
  const path = filePathOf(url)
  const format = /^([a-z]+):/i.exec(url)![1].toLowerCase() as Format
  const text = (name: string): string | undefined => options[name] as string | undefined
  const key = text('key')
  const type = (text('type') ?? 'hash') as RowType
  if (key === undefined && (format === 'csv' || format === 'tsv'))
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      '--key is missing',
      "Say what a row's key is called, for instance --key 'user:{id}'.",
    )
  const mapper =
    key === undefined
      ? null
      : new RowMapper({
          key,
          type,
          value: text('value'),
          member: text('member'),
          score: text('score'),
          id: text('id'),
          ttlMs: Number(options.ttl ?? 0),
          ttlField: text('ttl-field'),
          nested: text('nested') as 'flatten' | 'json',
        })
  if (path !== '-') {
    // A wrong path is told before anything is written.
    const feed = await FileFeed.open(path)
    await feed.close()
  }
  const delimiter = text('delimiter')?.replace(/^\\t$/, '\t')
  const shard = new JsonCsvShard({
    path,
    format,
    csv: {
      delimiter: delimiter ?? (format === 'tsv' ? '\t' : undefined),
      header: text('header') as 'auto',
      columns: text('columns')?.split(',') ?? null,
      skips: text('on-error') === 'skip',
      quote: text('quote'),
      escape: text('escape'),
    },
    encoding: text('encoding') as Encoding,
    mapper,
    db: Number(options['into-db']),
    onDuplicate: text('on-duplicate') as 'last',
    onError: text('on-error') as 'fail',
    rejects: text('rejects')!,
    batchSize: Number(options['batch-size']),
  })
  const grouped = mapper !== null && !['string', 'hash', 'json'].includes(type)
  return {
    capabilities: {
      kind: 'file',
      changes: 'none',
      resume: 'none',
      uniqueKeys: grouped || text('on-duplicate') !== 'last',
      readOnce: path === '-',
    },
    shards: [shard],
    description: {
      product: `${format.toUpperCase()} file`,
      file: path === '-' ? 'standard input' : path,
      rows: key === undefined ? 'keys of an export' : `${type}s called ${key}`,
      capture: 'file',
    },
    preflight: async (): Promise<readonly Finding[]> =>
      grouped
        ? [
            {
              level: 'info',
              code: 'source-grouped',
              text: 'rows are gathered by key on disk first: nothing is written until the whole file was read',
            },
          ]
        : [],
    [Symbol.asyncDispose]: async () => undefined,
  }
}
