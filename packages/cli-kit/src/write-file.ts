import { unwritableFile, writePrivate } from '@ferrite-migrate/files'

/** Writes a whole file for the owner only. @throws MigrateError FM_FILE_UNWRITABLE */
export function writeWhole(file: string, text: string): void {
  writePrivate(file, text)
}

export const unwritable = unwritableFile
