// Two shards of memory as one source, and a memory as its target: for tests of whole runs, in this process and in workers.
import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { changeOf, MigrateError } from '@ferrite-migrate/contracts'

const WRITES_EVERY_MS = 5
let [lastSource, lastTarget] = [null, null]
const text = (value) => ({ form: 'items', type: 'string', items: [Buffer.from(value)] })

/** What a shard does beside what it should, by a word of the address. */
const FAULTS = {
  dies: () => process.exit(7),
  refuses: () => {
    throw new MigrateError('FM_CONNECT_LOST', 'the memory is gone', 'Look.')
  },
  breaks: () => {
    throw new TypeError('no such thing')
  },
}

/** `memory://COUNT` or `memory://COUNT,WORD`: so many keys a shard. With `writes` its shards are written to for ever. */
export async function createSource({ url }) {
  const [count, word] = url.replace('memory://', '').split(',')
  const timers = []
  // Each shard knows what is its own, and a reader all.
  const all = new MemoryStore()
  lastSource = all
  const shards = ['a', 'b'].map((id) => {
    const store = new MemoryStore()
    const set = (key, value) => {
      for (const into of [store, all]) into.set({ db: 0, key: Buffer.from(key), value: text(value), expireAt: 0 })
    }
    for (let i = 0; i < Number(count); i++) set(`${id}:${i}`, 'v')
    const source = new MemorySource(store, { id })
    let written = 0
    const write = () => {
      set(`${id}:n`, `${++written}`)
      source.run(changeOf(0, ['SET', `${id}:n`, `${written}`]))
    }
    if (word === 'writes') timers.push(setInterval(write, WRITES_EVERY_MS))
    const [shard] = source.shards
    return {
      ...shard,
      owns: (_, key) => key[0] === id.charCodeAt(0),
      async *read(request) {
        for await (const event of shard.read(request)) {
          yield event
          if (id === 'b') FAULTS[word]?.()
        }
      },
    }
  })
  return {
    capabilities: { changes: 'lossless', resume: 'both', uniqueKeys: true },
    description: { product: 'memory' },
    shards,
    reader: () => all.reader(),
    preflight: async () => (word === 'unfit' ? [{ level: 'fail', code: 'unfit', text: 'this memory is unfit' }] : []),
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearInterval(timer)
    },
  }
}

export async function createTarget() {
  lastTarget = new MemoryStore()
  return new MemoryTarget(lastTarget)
}

export const sourceStore = () => lastSource
export const targetStore = () => lastTarget
