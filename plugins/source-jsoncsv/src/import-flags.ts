import { Flags } from '@ferrite-migrate/cli-kit'

/** What a row of a file becomes; names are those of the adapter's options. */
export const rowFlags = {
  key: Flags.string({ char: 'k', description: "Name of a row's key, such as 'user:{id}'", helpValue: '<TEMPLATE>' }),
  type: Flags.string({
    description: 'What a row becomes [default: hash]',
    options: ['string', 'hash', 'list', 'set', 'zset', 'stream', 'json'],
  }),
  value: Flags.string({ description: 'Value of a string or element: a field, or a template', helpValue: '<FIELD>' }),
  member: Flags.string({ description: 'Member of a set or zset: a field, or a template', helpValue: '<FIELD>' }),
  score: Flags.string({ description: 'Field with the score of a zset member', helpValue: '<FIELD>' }),
  id: Flags.string({ description: 'Field with the id of a stream entry', helpValue: '<FIELD>' }),
  ttl: Flags.string({ description: 'How long keys live', helpValue: '<TIME>' }),
  'ttl-field': Flags.string({ description: 'Field that says how long, or until when', helpValue: '<FIELD>' }),
  nested: Flags.string({
    description: 'Objects in a row that becomes a hash [default: flatten]',
    options: ['flatten', 'json'],
  }),
  'into-db': Flags.integer({ description: 'Database of the keys [default: 0]' }),
  'on-error': Flags.string({ description: 'A row that cannot be used [default: fail]', options: ['fail', 'skip'] }),
  rejects: Flags.string({ description: 'Where such rows are listed [default: rejects.ndjson]', helpValue: '<FILE>' }),
  'on-duplicate': Flags.string({
    description: 'Rows with the same key [default: last]',
    options: ['last', 'first', 'fail'],
  }),
  delimiter: Flags.string({ description: 'Between the fields of a CSV; found by itself' }),
  quote: Flags.string({ description: 'Around the fields of a CSV that hold others [default: "]', helpValue: '<CHAR>' }),
  escape: Flags.string({ description: 'Before a quote inside such a field [default: the quote]', helpValue: '<CHAR>' }),
  header: Flags.string({ description: 'Whether the first row names the fields', options: ['auto', 'yes', 'no'] }),
  columns: Flags.string({ description: 'Names of the fields, for a CSV without a header', helpValue: '<A,B,C>' }),
  encoding: Flags.string({
    description: 'Of the text [default: utf-8]',
    options: ['utf-8', 'utf-16le', 'utf-16be', 'latin-1'],
  }),
}

/** The flags as options of the adapter. */
export function rowOptions(flags: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(rowFlags).flatMap((name) => (flags[name] === undefined ? [] : [`${name}=${flags[name]}`]))
}
