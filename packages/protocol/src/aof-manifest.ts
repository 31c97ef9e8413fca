import { MigrateError } from '@ferrite-migrate/contracts'

export type AofFileKind = 'base' | 'increment' | 'history'

/** One file of a multi-part append-only file, as its manifest lists it. */
export interface AofManifestEntry {
  readonly name: string
  readonly sequence: number
  readonly kind: AofFileKind
}

const KINDS: Readonly<Record<string, AofFileKind>> = { b: 'base', i: 'increment', h: 'history' }

/**
 * Reads a manifest: lines of `file <name> seq <n> type <b|i|h>`; names may be quoted, `#` starts a comment. Facts of
 * Redis 7's aof.c.
 * @throws MigrateError FM_AOF_MANIFEST with the line
 */
export function parseAofManifest(text: string, file: string): AofManifestEntry[] {
  const entries: AofManifestEntry[] = []
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return
    const bad = (what: string): MigrateError =>
      new MigrateError(
        'FM_AOF_MANIFEST',
        `${file}, line ${i + 1}: ${what}`,
        'Take the whole appendonlydir again, while automatic rewrites are switched off (auto-aof-rewrite-percentage 0).',
      )
    const fields = new Map<string, string>()
    const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
    if (words.length % 2 !== 0) throw bad('a field without a value')
    for (let at = 0; at < words.length; at += 2) fields.set(words[at], unquote(words[at + 1]))
    const name = fields.get('file')
    const sequence = fields.get('seq')
    const kind = KINDS[fields.get('type') ?? '']
    if (name === undefined || name.includes('/') || name === '..') throw bad('no file name, or one with a path')
    if (sequence === undefined || !/^\d{1,15}$/.test(sequence)) throw bad('no sequence number')
    if (kind === undefined) throw bad('a type that is none of b, i, h')
    entries.push({ name, sequence: Number(sequence), kind })
  })
  const bases = entries.filter(({ kind }) => kind === 'base')
  if (bases.length > 1)
    throw new MigrateError('FM_AOF_MANIFEST', `${file} names ${bases.length} base files`, 'It must name one at most.')
  return entries
}

function unquote(word: string): string {
  if (!word.startsWith('"')) return word
  return word
    .slice(1, -1)
    .replace(/\\x([0-9a-fA-F]{2})|\\(.)/g, (_, hex: string | undefined, letter: string | undefined) =>
      hex !== undefined
        ? String.fromCharCode(Number.parseInt(hex, 16))
        : ({ n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }[letter ?? ''] ?? letter ?? ''),
    )
}

/** The files to read, in order: the base, then the increments by their numbers. */
export function aofReadingOrder(entries: readonly AofManifestEntry[]): AofManifestEntry[] {
  return [
    ...entries.filter(({ kind }) => kind === 'base'),
    ...entries.filter(({ kind }) => kind === 'increment').sort((a, b) => a.sequence - b.sequence),
  ]
}
