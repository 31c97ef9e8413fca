import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type DirtyKey,
  defineSource,
  type KeyReader,
  MigrateError,
  type SnapshotRecord,
  stringRecord,
} from '@ferrite-migrate/contracts'

/** Rows of one event. */
const AT_ONCE = 1000

/** Values by key; names are Latin-1, in which every byte is a character. */
type Rows = ReadonlyMap<string, Buffer>

/**
 * `rows:///path/file.tsv`: each line is a key, a tab and a value. The easy kind of live source: it tells which keys have changed, and
 * their values are asked of its reader. It knows no order of writes, and need not be able to go on where it was.
 */
export const createSource = defineSource(async ({ url, options }) => {
  const path = fileURLToPath(url.replace('rows:', 'file:'))
  // A wrong path is told before anything is written.
  await rowsOf(path)
  return {
    capabilities: { changes: 'lossy', resume: 'none', uniqueKeys: true },
    description: { product: 'rows', file: path },
    reader: () => new RowsReader(path),
    shards: [
      {
        id: '0',
        async *read({ signal, changes }) {
          let known = await rowsOf(path)
          yield { kind: 'sync', mode: 'full', keys: known.size }
          const records = [...known].map(([key, value]) => recordOf(key, value))
          for (let at = 0; at < records.length && !signal.aborted; at += AT_ONCE) {
            const some = records.slice(at, at + AT_ONCE)
            yield { kind: 'snapshot', records: some, byteLength: some.length }
          }
          yield { kind: 'snapshot-end' }
          while (changes && !signal.aborted) {
            await sleep(Number(options.look), undefined, { signal }).catch(() => undefined)
            const now = await rowsOf(path)
            const keys = changedKeys(known, now)
            known = now
            // Also without keys: it tells that the source is up to date.
            yield { kind: 'dirty', keys }
          }
        },
      },
    ],
  }
})

/** The rows that are there now; of two of one key the later counts. @throws MigrateError FM_FILE_UNREADABLE */
async function rowsOf(path: string): Promise<Rows> {
  const text = await readFile(path, 'latin1').catch((cause) => {
    throw new MigrateError('FM_FILE_UNREADABLE', `${path} cannot be read`, 'Give another path.', { cause })
  })
  const rows = new Map<string, Buffer>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const tab = line.indexOf('\t')
    if (tab < 0) rows.set(line, Buffer.alloc(0))
    else rows.set(line.slice(0, tab), Buffer.from(line.slice(tab + 1), 'latin1'))
  }
  return rows
}

function recordOf(key: string, value: Buffer): SnapshotRecord {
  return stringRecord(Buffer.from(key, 'latin1'), value)
}

/** Keys that came, went, or have another value. */
function changedKeys(before: Rows, now: Rows): DirtyKey[] {
  const names = new Set<string>()
  for (const [key, value] of now) if (before.get(key)?.equals(value) !== true) names.add(key)
  for (const key of before.keys()) if (!now.has(key)) names.add(key)
  return [...names].map((key) => ({ db: 0, key: Buffer.from(key, 'latin1') }))
}

/** Reads keys as they are now. Digests, descriptions and raw pages are left out: they are made of what `read` gives. */
class RowsReader implements KeyReader {
  private readonly path: string

  constructor(path: string) {
    this.path = path
  }

  async *keys(): AsyncGenerator<DirtyKey[]> {
    const rows = await rowsOf(this.path)
    yield [...rows.keys()].map((key) => ({ db: 0, key: Buffer.from(key, 'latin1') }))
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    return new Map([[0, (await rowsOf(this.path)).size]])
  }

  async read(db: number, keys: readonly Buffer[]): Promise<(SnapshotRecord | null)[]> {
    const rows = await rowsOf(this.path)
    return keys.map((key) => {
      const value = db === 0 ? rows.get(key.toString('latin1')) : undefined
      return value === undefined ? null : stringRecord(key, value)
    })
  }

  async exist(db: number, keys: readonly Buffer[]): Promise<boolean[]> {
    return (await this.read(db, keys)).map((record) => record !== null)
  }

  async expiries(db: number, keys: readonly Buffer[]): Promise<number[]> {
    return (await this.exist(db, keys)).map((there) => (there ? 0 : -1))
  }

  async close(): Promise<void> {}
}
