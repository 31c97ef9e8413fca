import type { RedisLink } from './link.js'

/** The fields of INFO as text, lower-case names as the server gives them. */
export function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf(':')
    if (at > 0 && !line.startsWith('#')) fields.set(line.slice(0, at), line.slice(at + 1).trimEnd())
  }
  return fields
}

export async function readInfo(link: RedisLink, section?: string): Promise<Map<string, string>> {
  const reply = await (section === undefined ? link.call('INFO') : link.call('INFO', section))
  return parseInfo(String(reply))
}

/** Keys per database, from `INFO keyspace`. */
export function keyspaceSizes(info: Map<string, string>): Map<number, number> {
  const sizes = new Map<number, number>()
  for (const [name, value] of info) {
    const db = /^db(\d+)$/.exec(name)
    const keys = /keys=(\d+)/.exec(value)
    if (db && keys) sizes.set(Number(db[1]), Number(keys[1]))
  }
  return sizes
}
