import { Keyspace } from './keyspace.js'
import type { End } from './routes.js'
import type { KeyLog, WriterLog } from './writer-log.js'

const SHOWN = 20

/**
 * What of a writer's work an end has wrong: tokens that are there twice or were never written, counters beyond what was asked for.
 * @param lossless nothing acknowledged may be missing either; a cluster whose primary was replaced may have lost some
 */
export async function writerFaults(log: WriterLog, end: End, lossless: boolean): Promise<string[]> {
  const keyspace = await Keyspace.open(end)
  try {
    const faults: string[] = []
    for (const [key, told] of log.keys) {
      const content = await keyspace.content(Buffer.from(key))
      faults.push(...(told.tokens.size === 0 ? counterFaults : tokenFaults)(key, told, content, lossless))
    }
    return faults.length > SHOWN ? [...faults.slice(0, SHOWN), `and ${faults.length - SHOWN} more`] : faults
  } finally {
    keyspace.close()
  }
}

function counterFaults(key: string, told: KeyLog, content: readonly Buffer[], lossless: boolean): string[] {
  const value = Number(content[0] ?? 0)
  const { acknowledged, unknown } = told
  const right = value <= acknowledged + unknown && (!lossless || value >= acknowledged)
  return right ? [] : [`${key} is ${value} after ${acknowledged} acknowledged and ${unknown} unknown steps`]
}

function tokenFaults(key: string, told: KeyLog, content: readonly Buffer[], lossless: boolean): string[] {
  const found = new Map<string, number>()
  // A token is an element of a list, the value of an entry of a stream, or ends in a semicolon of a string.
  for (const part of content)
    for (const word of part.toString('latin1').split(';'))
      if (/^\d+-\d+-\d+$/.test(word)) found.set(word, (found.get(word) ?? 0) + 1)
  const faults: string[] = []
  for (const [token, times] of found) {
    if (times > 1) faults.push(`${key} has ${token} ${times} times`)
    if (!told.tokens.has(token)) faults.push(`${key} has ${token}, which nobody wrote`)
  }
  const missing = lossless
    ? [...told.tokens].flatMap(([token, outcome]) => (outcome === 'acknowledged' && !found.has(token) ? [token] : []))
    : []
  if (missing.length > 0) faults.push(`${key} lacks ${missing.length} of ${told.tokens.size}, such as ${missing[0]}`)
  return faults
}
