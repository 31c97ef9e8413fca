import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { MigrateError } from '@ferrite-migrate/contracts'

/** Bytes at the start by which a file is known again. */
const HEAD_BYTES = 4096
const TAIL_BYTES = 8

async function digest(file: FileHandle, head: number, tail: boolean): Promise<string> {
  const bytes = Buffer.alloc(head + TAIL_BYTES)
  const { bytesRead } = await file.read(bytes, 0, head, 0)
  const { size } = await file.stat()
  const hash = createHash('sha256').update(bytes.subarray(0, bytesRead))
  if (tail) {
    const end = await file.read(bytes, 0, TAIL_BYTES, Math.max(0, size - TAIL_BYTES))
    hash.update(bytes.subarray(0, end.bytesRead)).update(String(size))
  }
  return hash.digest('hex').slice(0, 16)
}

/**
 * What a file is known by: how many bytes of its start were looked at, and their digest; with `whole` also its size and last
 * bytes, for files that nothing is added to.
 */
export async function fileMark(path: string, whole: boolean): Promise<string> {
  const file = await open(path)
  try {
    const head = Math.min(HEAD_BYTES, (await file.stat()).size)
    return `${head}.${await digest(file, head, whole)}`
  } finally {
    await file.close()
  }
}

/** @throws MigrateError FM_RESUME_FILE when the file at this place is not the one of the mark */
export async function mustBeFile(path: string, mark: string, whole: boolean): Promise<void> {
  const head = Number(/^\d{1,5}/.exec(mark)?.[0] ?? 0)
  const file = await open(path)
  try {
    if (mark === `${head}.${await digest(file, Math.min(head, HEAD_BYTES), whole)}`) return
  } finally {
    await file.close()
  }
  throw new MigrateError(
    'FM_RESUME_FILE',
    `${path} is not the file that the migration began with: what follows would be mixed with what was read`,
    'Put the former file there again, or start anew under another --id.',
  )
}
