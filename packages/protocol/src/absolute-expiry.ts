/**
 * Rewrites a command whose time to live counts from now into commands with absolute times, for streams of servers before
 * Redis 7, which send EXPIRE, SETEX and SET … EX as the client wrote them.
 * @param receivedAt ms of the source's clock; 0 = unknown
 * @returns the commands to write instead, or null when the command holds no relative expiry
 */
export function absoluteExpiry(name: string, argv: readonly Buffer[], receivedAt: number): Buffer[][] | null {
  if (receivedAt === 0) return null
  const number = (at: number): number => Number(argv[at]?.toString('latin1'))
  const text = (value: string | number): Buffer => Buffer.from(String(value), 'latin1')
  const deadline = (key: Buffer, ms: number): Buffer[] => [text('PEXPIREAT'), key, text(Math.round(receivedAt + ms))]
  switch (name) {
    case 'EXPIRE':
    case 'PEXPIRE':
      return [[...deadline(argv[1], number(2) * (name === 'EXPIRE' ? 1000 : 1)), ...argv.slice(3)]]
    case 'SETEX':
    case 'PSETEX':
      return [[text('SET'), argv[1], argv[3]], deadline(argv[1], number(2) * (name === 'SETEX' ? 1000 : 1))]
    case 'SET':
    case 'GETEX': {
      const at = argv.findIndex((word, i) => i >= (name === 'SET' ? 3 : 2) && /^[ep]x$/i.test(word.toString('latin1')))
      if (at < 0 || at + 1 >= argv.length) return null
      const ms = number(at + 1) * (argv[at].length === 2 && /^ex$/i.test(argv[at].toString('latin1')) ? 1000 : 1)
      const rest = [...argv.slice(0, at), ...argv.slice(at + 2)]
      return name === 'SET' ? [rest, deadline(argv[1], ms)] : [deadline(argv[1], ms)]
    }
    case 'RESTORE': {
      const absolute = argv.some((word, i) => i >= 4 && /^absttl$/i.test(word.toString('latin1')))
      if (absolute || number(2) === 0) return null
      return [[argv[0], argv[1], text(Math.round(receivedAt + number(2))), ...argv.slice(3), text('ABSTTL')]]
    }
  }
  return null
}

/** Where a command with an absolute expiry has it: position of the argument and its unit in ms; null = it has none. */
export function expiryArgument(name: string, argv: readonly Buffer[]): { at: number; unit: number } | null {
  switch (name) {
    case 'PEXPIREAT':
      return { at: 2, unit: 1 }
    case 'EXPIREAT':
      return { at: 2, unit: 1000 }
    case 'RESTORE':
      return argv[2]?.toString('latin1') !== '0' &&
        argv.some((word, i) => i >= 4 && /^absttl$/i.test(word.toString('latin1')))
        ? { at: 2, unit: 1 }
        : null
    case 'SET':
    case 'GETEX': {
      const at = argv.findIndex(
        (word, i) => i >= (name === 'SET' ? 3 : 2) && /^[ep]xat$/i.test(word.toString('latin1')),
      )
      return at < 0 || at + 1 >= argv.length
        ? null
        : { at: at + 1, unit: /^p/i.test(argv[at].toString('latin1')) ? 1 : 1000 }
    }
  }
  return null
}
