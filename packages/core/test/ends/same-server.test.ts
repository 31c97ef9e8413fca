import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { PlantedKey } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { sameServer } from '../../dist/ends/same-server.js'
import { record } from '../doubles.js'

class Planting extends MemoryTarget {
  async plant(): Promise<PlantedKey> {
    const one = record('planted')
    this.store.set(one)
    return { db: 0, key: one.key, remove: async () => this.store.records.clear() }
  }
}

class Seeing extends MemorySource {
  override readonly capabilities: MemorySource['capabilities'] & { follower: boolean }
  readonly sees: (db: number, key: Buffer) => Promise<boolean>

  constructor(store: MemoryStore, follower: boolean, looksUntilSeen = 1) {
    super(store)
    this.capabilities = { changes: 'lossy', resume: 'none', follower }
    let looks = 0
    this.sees = async (db, key) => ++looks >= looksUntilSeen && store.get(db, key) !== null
  }
}

describe('source and target', () => {
  it('that are one server are found out, and nothing is left behind', async () => {
    const store = new MemoryStore()
    expect(await sameServer(new Seeing(store, false), new Planting(store))).toMatchObject({ code: 'FM_SAME_SERVER' })
    expect(store.records.size).toBe(0)
    expect(await sameServer(new Seeing(new MemoryStore(), false), new Planting(store))).toBeNull()
    expect(store.records.size).toBe(0)
  })

  it('of which one follows the other are found out a moment later', async () => {
    const store = new MemoryStore()
    expect(await sameServer(new Seeing(store, true, 3), new Planting(store))).not.toBeNull()
    expect(await sameServer(new Seeing(store, true, 4), new Planting(store))).toBeNull()
  })

  it('that cannot be asked are taken for two', async () => {
    const store = new MemoryStore()
    expect(await sameServer(new MemorySource(store), new Planting(store))).toBeNull()
    expect(await sameServer(new Seeing(store, false), new MemoryTarget(store))).toBeNull()
  })
})
