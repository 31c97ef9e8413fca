import { RespWriter } from '@ferrite-migrate/protocol'

/** Commands with ASKING between them, and for each reply to expect which command of those that were given it answers. */
export interface Asked {
  readonly data: Buffer
  /** -1 = an ASKING. */
  readonly places: readonly number[]
}

/**
 * Puts ASKING before each command. Inside MULTI the first one counts to the end, and would be queued as a command.
 * @param data whole commands in protocol form
 */
export function withAsking(data: Buffer): Asked {
  const out = new RespWriter(data.length + 1024)
  const places: number[] = []
  let inside = false
  for (let at = 0, index = 0; at < data.length; index++) {
    const { name, end } = commandAt(data, at)
    if (!inside) {
      out.call('ASKING')
      places.push(-1)
    }
    if (name === 'MULTI') inside = true
    else if (name === 'EXEC') inside = false
    out.raw(data, at, end)
    places.push(index)
    at = end
  }
  return { data: out.take(), places }
}

/** The name of the command that starts at a place, and where the next one does. */
function commandAt(data: Buffer, start: number): { readonly name: string; readonly end: number } {
  let at = start
  const number = (): number => {
    const stop = data.indexOf(13, at)
    const value = Number(data.toString('latin1', at + 1, stop))
    at = stop + 2
    return value
  }
  const count = number()
  let name = ''
  for (let i = 0; i < count; i++) {
    const length = number()
    if (i === 0) name = data.toString('latin1', at, at + Math.min(length, 16)).toUpperCase()
    at += length + 2
  }
  return { name, end: at }
}
