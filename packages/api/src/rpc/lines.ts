/** Bytes of one message at most. */
export const MOST_LINE = 16 << 20

/**
 * Lines of a byte stream, without their end; empty ones are left out. A line ends with \n alone: U+2028 is a letter here, as JSON has it.
 * @throws RangeError when a line is longer than `most`
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
    if (size > most) throw new RangeError(`a line of more than ${most} bytes`)
    if (rest.length > 0) parts.push(rest)
  }
  if (size > 0) yield Buffer.concat(parts).toString('utf8')
}
