import { randomBytes } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'

/** For the owner only. */
export const PRIVATE_FILE = 0o600
export const PRIVATE_DIRECTORY = 0o700

/** What stands for no file of its own, and is opened as it is. */
const DEVICES = '/dev/'

export function unwritableFile(path: string, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause
  const { code } = cause as NodeJS.ErrnoException
  return new MigrateError(
    'FM_FILE_UNWRITABLE',
    code === 'ELOOP'
      ? `${path} is a symbolic link, which is not followed`
      : `${path} cannot be written (${code ?? 'error'})`,
    'Give another path.',
    { cause },
  )
}

/**
 * Makes sure that a file can be written later, without making it: long work must not end for want of it.
 * @throws MigrateError FM_FILE_UNWRITABLE
 */
export function mustBeWritable(path: string): void {
  if (path.startsWith(DEVICES)) return
  try {
    accessSync(existsSync(path) ? path : dirname(path), constants.W_OK)
  } catch (cause) {
    throw unwritableFile(path, cause)
  }
}

/**
 * Opens a file for writing, for the owner only, also where it was there; a symbolic link is not followed, and what is no
 * plain file is not written to. Gives its descriptor, which the caller closes.
 * @param how `w` empties it first, `a` goes on at its end
 * @throws MigrateError FM_FILE_UNWRITABLE
 */
export function openPrivate(path: string, how: 'w' | 'a'): number {
  if (path.startsWith(DEVICES)) return openSync(path, how)
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_TRUNC, O_APPEND } = constants
  let file: number | null = null
  try {
    const flags = O_WRONLY | O_CREAT | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0) | (how === 'w' ? O_TRUNC : O_APPEND)
    file = openSync(path, flags, PRIVATE_FILE)
    const found = fstatSync(file)
    if (!found.isFile()) throw Object.assign(new Error('no plain file'), { code: 'no plain file' })
    if ((found.mode & 0o077) !== 0) fchmodSync(file, PRIVATE_FILE)
    return file
  } catch (cause) {
    if (file !== null) closeSync(file)
    throw unwritableFile(path, cause)
  }
}

/** A name beside a file that nobody can have guessed. */
export function besides(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
}

/**
 * Writes a whole file, for the owner only: it is there when it is whole, and what was there (a symbolic link too) is replaced.
 * @throws MigrateError FM_FILE_UNWRITABLE
 */
export function writePrivate(path: string, text: string | Uint8Array): void {
  const part = besides(path)
  try {
    if (path.startsWith(DEVICES)) {
      writeFileSync(path, text)
      return
    }
    writeFileSync(part, text, { flag: 'wx', mode: PRIVATE_FILE })
    renameSync(part, path)
  } catch (cause) {
    rmSync(part, { force: true })
    throw unwritableFile(path, cause)
  }
}

/** A directory that holds nothing, or this file already, is no place that others share. */
function isOurs(directory: string, file: string): boolean {
  const { uid, mode } = statSync(directory)
  const names = readdirSync(directory)
  return (
    (mode & 0o077) !== 0 &&
    (mode & 0o1000) === 0 &&
    uid === process.getuid?.() &&
    (names.length === 0 || names.includes(file))
  )
}

/**
 * Makes a directory for the owner only, and those above it where they are missing. Not by `recursive` of mkdirSync: where a file system
 * makes no directories at all, as /proc, that one tries for ever.
 * @returns true when it was made
 * @throws Error of the file system
 */
export function makePrivateDirectory(directory: string): boolean {
  try {
    mkdirSync(directory, { mode: PRIVATE_DIRECTORY })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && statSync(directory).isDirectory()) return false
    const above = dirname(resolve(directory))
    if (code !== 'ENOENT' || existsSync(above)) throw error
    makePrivateDirectory(above)
    return makePrivateDirectory(directory)
  }
}

/**
 * Makes a directory for the owner only, and a file in it that others cannot read, before somebody else (a database) opens
 * it. What was there for others is closed to them. A file that is there is not opened: with the first descriptor that a process
 * closes of a file it loses all its locks on it, those of a database that it has open as well.
 * @throws MigrateError FM_FILE_UNWRITABLE, or Error of the file system
 */
export function privatePlace(directory: string, file: string): string {
  const made = makePrivateDirectory(directory)
  const path = join(directory, file)
  if (!made && isOurs(directory, file)) chmodSync(directory, PRIVATE_DIRECTORY)
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE))
    return path
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw unwritableFile(path, cause)
  }
  try {
    const found = lstatSync(path)
    if (found.isSymbolicLink()) throw Object.assign(new Error('a link'), { code: 'ELOOP' })
    if (!found.isFile()) throw Object.assign(new Error('no plain file'), { code: 'no plain file' })
    if ((found.mode & 0o077) !== 0) chmodSync(path, PRIVATE_FILE)
    accessSync(path, constants.R_OK | constants.W_OK)
  } catch (cause) {
    throw unwritableFile(path, cause)
  }
  return path
}
