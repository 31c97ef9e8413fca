import { MigrateError } from '@ferrite-migrate/contracts'

/** An RDB that breaks off. `at` counts bytes from the start of the RDB. */
export function rdbTruncated(element: string, at: number): MigrateError {
  return new MigrateError(
    'FM_RDB_TRUNCATED',
    `the RDB ends inside ${element}, which starts at byte ${at}`,
    'Take the dump again from the source: this one is incomplete.',
  )
}

/** An RDB that says something impossible. */
export function rdbCorrupt(element: string, at: number, detail: string): MigrateError {
  return new MigrateError(
    'FM_RDB_CORRUPT',
    `the RDB is damaged at byte ${at}, in ${element}: ${detail}`,
    'Take the dump again from the source.',
  )
}

/** An RDB that says something this version does not know; nothing after it can be read, since its length is unknown. */
export function rdbUnknown(element: string, at: number, detail: string): MigrateError {
  return new MigrateError(
    'FM_RDB_UNKNOWN',
    `the RDB has ${detail} at byte ${at}, in ${element}`,
    'Update ferrite-migrate, or export the keys of this type another way.',
  )
}
