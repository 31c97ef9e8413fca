import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'
import { aofReadingOrder, parseAofManifest } from '@ferrite-migrate/protocol'

/** One file to be read, in order; only the last may end in the middle of a command. */
export interface AofFile {
  readonly path: string
  readonly kind: 'single' | 'base' | 'increment'
  readonly byteLength: number
}

async function facts(path: string): Promise<{ directory: boolean; size: number }> {
  try {
    const found = await stat(path)
    return { directory: found.isDirectory(), size: found.size }
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `${path}: ${(cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message}`,
      'Give an append-only file, an appendonlydir, or its manifest.',
      { cause },
    )
  }
}

async function manifestIn(directory: string): Promise<string | null> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.manifest'))
  if (names.length > 1)
    throw new MigrateError('FM_AOF_MANIFEST', `${directory} holds ${names.length} manifests`, 'Name the one to read.')
  return names.length === 1 ? join(directory, names[0]) : null
}

/**
 * The files behind a path: one append-only file, or what a manifest lists; history is left out.
 * @throws MigrateError FM_FILE_UNREADABLE, FM_AOF_MANIFEST
 */
export async function findAofFiles(path: string): Promise<AofFile[]> {
  const { directory, size } = await facts(path)
  if (!directory && !path.endsWith('.manifest')) return [{ path, kind: 'single', byteLength: size }]
  const manifest = directory ? ((await manifestIn(path)) ?? (await nestedManifest(path))) : path
  const text = await readFile(manifest, 'utf8')
  const files: AofFile[] = []
  for (const { name, kind } of aofReadingOrder(parseAofManifest(text, basename(manifest)))) {
    const file = join(dirname(manifest), name)
    files.push({ path: file, kind: kind === 'base' ? 'base' : 'increment', byteLength: (await facts(file)).size })
  }
  return files
}

/** Redis keeps the directory in its data directory, which is as good a name for it. */
async function nestedManifest(path: string): Promise<string> {
  const nested = join(path, 'appendonlydir')
  const manifest = (await readdir(path)).includes('appendonlydir') ? await manifestIn(nested) : null
  if (manifest !== null) return manifest
  throw new MigrateError('FM_AOF_MANIFEST', `${path} holds no manifest`, 'Give the appendonlydir of the server.')
}
