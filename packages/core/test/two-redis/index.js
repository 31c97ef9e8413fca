// Two Redis servers as one source with two shards, for tests of what several shards must not do to each other: what a cluster is.
import { createSource as openOne } from '@ferrite-migrate/source-redis'

/** A shard of one of the servers under a name of its own; the keys that begin with its letter are its own. */
function named(shard, id, letter) {
  return new Proxy(shard, {
    get(of, name) {
      if (name === 'id') return id
      if (name === 'owns') return letter === null ? undefined : (_, key) => key[0] === letter.charCodeAt(0)
      const value = Reflect.get(of, name, of)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
}

/** Reads the keys of both; a key is asked of both, and belongs to the one that has it. */
class BothReaders {
  constructor(readers) {
    this.readers = readers
  }
  async size() {
    const sizes = new Map()
    for (const reader of this.readers)
      for (const [db, size] of await reader.size()) sizes.set(db, (sizes.get(db) ?? 0) + size)
    return sizes
  }
  async *keys(filter) {
    for (const reader of this.readers) yield* reader.keys(filter)
  }
  async merged(ask, isThere) {
    const [first, ...others] = await Promise.all(this.readers.map(ask))
    return first.map((one, i) => [one, ...others.map((list) => list[i])].find(isThere) ?? one)
  }
  read(db, keys, whole) {
    return this.merged(
      (reader) => reader.read(db, keys, whole),
      (one) => one !== null,
    )
  }
  expiries(db, keys) {
    return this.merged(
      (reader) => reader.expiries(db, keys),
      (one) => one !== -1,
    )
  }
  exist(db, keys) {
    return this.merged(
      (reader) => reader.exist(db, keys),
      (one) => one,
    )
  }
  digest(db, keys) {
    return this.merged(
      (reader) => reader.digest(db, keys),
      (one) => one !== null,
    )
  }
  async close() {
    for (const reader of this.readers) await reader.close()
  }
}

/** Servers that are to join a source while it is read, and those that leave it. */
export const arrivals = new EventTarget()
export function arrive(place) {
  arrivals.dispatchEvent(new CustomEvent('shard', { detail: { place } }))
}
export function depart(shard) {
  arrivals.dispatchEvent(new CustomEvent('shard', { detail: { shard } }))
}

/** `two://place,place`; with `,owned` at the end each shard owns the keys that begin with its letter: a, b, c. */
export async function createSource(context) {
  const words = context.url.replace('two://', '').split(',')
  const owned = words.includes('owned')
  const places = words.filter((word) => word !== 'owned')
  const all = await Promise.all(places.map((place) => openOne({ ...context, url: `redis://${place}` })))
  const shardOf = (source, i) => named(source.shards[0], `shard-${i}`, owned ? 'abc'[i] : null)
  const [first] = all
  return {
    capabilities: first.capabilities,
    description: first.description,
    relativeExpiry: first.relativeExpiry,
    shards: all.map(shardOf),
    reader: () => new BothReaders(all.map((source) => source.reader())),
    async *watch(signal) {
      const waiting = []
      let wake = () => undefined
      const come = ({ detail }) => {
        waiting.push(detail)
        wake()
      }
      arrivals.addEventListener('shard', come)
      const end = () => wake()
      signal.addEventListener('abort', end)
      while (!signal.aborted) {
        if (waiting.length === 0) await new Promise((resolve) => (wake = resolve))
        for (const { place, shard } of waiting.splice(0)) {
          if (shard !== undefined) {
            yield { kind: 'removed', shard }
            continue
          }
          const source = await openOne({ ...context, url: `redis://${place}` })
          all.push(source)
          yield { kind: 'added', shard: shardOf(source, all.length - 1) }
        }
      }
      arrivals.removeEventListener('shard', come)
    },
    async [Symbol.asyncDispose]() {
      for (const source of all) await source[Symbol.asyncDispose]()
    },
  }
}
