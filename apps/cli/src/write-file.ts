import { writeFileSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'

/** Writes a whole file. @throws MigrateError FM_FILE_UNWRITABLE */
export function writeWhole(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (cause) {
    throw unwritable(file, cause)
  }
}

export function unwritable(file: string, cause: unknown): MigrateError {
  return new MigrateError(
    'FM_FILE_UNWRITABLE',
    `${file} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
    'Give another path.',
    { cause },
  )
}
