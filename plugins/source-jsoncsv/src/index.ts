import { type AdapterContext, type Finding, MigrateError, type Source } from '@ferrite-migrate/contracts'
import { FileFeed, filePathOf } from '@ferrite-migrate/files'
import { type Format, JsonCsvShard, type JsonCsvShardOptions } from './jsoncsv-shard.js'
import { RowMapper, type RowType } from './row-mapper.js'
import type { Encoding } from './text-feed.js'

/** @throws MigrateError FM_CONFIG_INVALID, FM_FILE_UNREADABLE */
export async function createSource({ url, options }: AdapterContext): Promise<Source> {
  const path = filePathOf(url)
  const format = /^([a-z]+):/i.exec(url)![1].toLowerCase() as Format
  const mapper = mapperOf(options, format)
  if (path !== '-') {
    // A wrong path is told before anything is written.
    const feed = await FileFeed.open(path)
    await feed.close()
  }
  const grouped = mapper?.grouped ?? false
  return {
    capabilities: {
      kind: 'file',
      changes: 'none',
      resume: 'none',
      uniqueKeys: grouped || options['on-duplicate'] !== 'last',
      readOnce: path === '-',
    },
    shards: [new JsonCsvShard(shardOptions(path, format, mapper, options))],
    description: {
      product: `${format.toUpperCase()} file`,
      file: path === '-' ? 'standard input' : path,
      rows: mapper === null ? 'keys of an export' : `${mapper.type}s called ${options.key}`,
      capture: 'file',
    },
    preflight: async () => (grouped ? [GATHERED] : []),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

const GATHERED: Finding = {
  level: 'info',
  code: 'source-grouped',
  text: 'rows are gathered by key on disk first: nothing is written until the whole file was read',
}

type Options = AdapterContext['options']

const textOf = (options: Options, name: string): string | undefined => options[name] as string | undefined

/** What rows become; null = they are those of an export, which say it themselves. */
function mapperOf(options: Options, format: Format): RowMapper | null {
  const text = (name: string): string | undefined => textOf(options, name)
  const key = text('key')
  if (key !== undefined)
    return new RowMapper({
      key,
      type: (text('type') ?? 'hash') as RowType,
      value: text('value'),
      member: text('member'),
      score: text('score'),
      id: text('id'),
      ttlMs: Number(options.ttl ?? 0),
      ttlField: text('ttl-field'),
      nested: text('nested') as 'flatten' | 'json',
    })
  if (format === 'csv' || format === 'tsv')
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      '--key is missing',
      "Say what a row's key is called, for instance --key 'user:{id}'.",
    )
  return null
}

function shardOptions(path: string, format: Format, mapper: RowMapper | null, options: Options): JsonCsvShardOptions {
  const text = (name: string): string | undefined => textOf(options, name)
  const delimiter = text('delimiter')?.replace(/^\\t$/, '\t')
  return {
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
  }
}
