// Two Redis servers as one source with two shards, for tests of what several shards must not do to each other: what a cluster is.
import { createSource as openOne } from '@ferrite-migrate/source-redis'

/** A shard of one of the servers under a name of its own. */
function named(shard, id) {
  return new Proxy(shard, {
    get(of, name) {
      if (name === 'id') return id
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
    const [a, b] = await Promise.all(this.readers.map(ask))
    return a.map((one, i) => (isThere(one) ? one : b[i]))
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

export async function createSource(context) {
  const places = context.url.replace('two://', '').split(',')
  const both = await Promise.all(places.map((place) => openOne({ ...context, url: `redis://${place}` })))
  const [first] = both
  return {
    capabilities: first.capabilities,
    description: first.description,
    relativeExpiry: first.relativeExpiry,
    shards: both.map((source, i) => named(source.shards[0], `shard-${i}`)),
    reader: () => new BothReaders(both.map((source) => source.reader())),
    async [Symbol.asyncDispose]() {
      for (const source of both) await source[Symbol.asyncDispose]()
    },
  }
}
