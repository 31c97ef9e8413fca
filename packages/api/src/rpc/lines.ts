import { MigrateError } from '@ferrite-migrate/contracts'

/** Bytes of one message at most. */
export const MOST_LINE = 16 << 20

/**
 * Lines of a byte stream, without their end; empty ones are left out. A line ends with \n alone: U+2028 is a letter here, as JSON has it.
 * @throws MigrateError FM_PROTOCOL when a line is longer than `most`: what follows could not be told from it
 */
export async function* lines(input: AsyncIterable<Buffer>, most = MOST_LINE): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of input) {
    let rest = chunk
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...parts, rest.subarray(0, end)]).toString('utf8')
      rest = rest.subarray(end + 1)
      parts = []
      size = 0
      if (line.trim() !== '') yield line
    }
    size += rest.length
    if (size > most) throw tooLong(most)
    if (rest.length > 0) parts.push(rest)
  }
  if (size > 0) yield Buffer.concat(parts).toString('utf8')
}

function tooLong(most: number): MigrateError {
  return new MigrateError('FM_PROTOCOL', `a message has more than ${most} bytes`, 'A message is one line of JSON.')
}
