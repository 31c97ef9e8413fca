/** Which kind of file of rows a path names, by its ending; null = none. */
export function rowScheme(path: string): 'json' | 'ndjson' | 'csv' | 'tsv' | null {
  const name = path.toLowerCase().replace(/\.(gz|zst|zstd)$/, '')
  if (name.endsWith('.json')) return 'json'
  if (/\.(ndjson|jsonl|ldjson)$/.test(name)) return 'ndjson'
  if (name.endsWith('.csv')) return 'csv'
  return /\.(tsv|tab)$/.test(name) ? 'tsv' : null
}
