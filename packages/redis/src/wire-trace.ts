import type { Logger } from '@ferrite-migrate/contracts'
import type { WireTrace } from './link.js'

const SHOWN = 256
const SECRET = /(AUTH|requirepass|masterauth)(\\r\\n\$\d+\\r\\n)[^\\]*/gi

/** A trace of the bytes on the wire for the log: cut, printable, without secrets. Null when nobody listens. */
export function wireTrace(logger: Logger, end: string): WireTrace | null {
  if (!logger.enabled('trace')) return null
  return (direction, data) => {
    let text = ''
    for (const byte of data.subarray(0, SHOWN))
      text += byte === 13 ? '\\r' : byte === 10 ? '\\n' : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'
    logger.log('trace', text.replace(SECRET, '$1$2***'), { end, direction, bytes: data.length })
  }
}
