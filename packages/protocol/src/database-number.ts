import { MigrateError } from '@ferrite-migrate/contracts'

/**
 * The number of a database as a stream or file names it. Nothing is guessed: what is no number, or too large for one, ends
 * the reading, since whatever follows would land elsewhere.
 * @param where in words, for the message
 * @throws MigrateError FM_STREAM_CORRUPT
 */
export function databaseNumber(argument: Buffer | undefined, where: string): number {
  const text = argument?.toString('latin1', 0, 40) ?? ''
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new MigrateError(
    'FM_STREAM_CORRUPT',
    `${where} names a database ${JSON.stringify(text)}`,
    'Nothing was written for it. Report this with the version of the source.',
  )
}
