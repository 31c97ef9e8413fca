import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DirtyKey } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { pulledUndos } from '../../dist/rollback/kept-undos.js'
import { packUndo, SharedEntries, type SharedJournal, unpackUndo } from '../../dist/rollback/shared-journal.js'
import type { Undo } from '../../dist/rollback/undo-journal.js'
import { bytes, record } from '../doubles.js'

/** Keeps entries in memory, in pages of two. */
class MemoryJournal implements SharedJournal {
  readonly all = new Map<string, Undo>()
  async begin(): Promise<void> {}
  async exists(): Promise<boolean> {
    return true
  }
  async keep(entries: readonly Undo[]): Promise<void> {
    for (const one of entries) {
      const name = `${one.db} ${one.key.toString('latin1')}`
      if (!this.all.has(name)) this.all.set(name, one)
    }
  }
  async *keys() {
    for await (const page of this.entries())
      yield page.map(({ db, key, before }) => ({ db, key, created: before === null }))
  }
  async *entries(): AsyncGenerator<Undo[]> {
    const all = [...this.all.values()]
    for (let at = 0; at < all.length; at += 2) yield all.slice(at, at + 2)
    // A server may give one twice.
    if (all.length > 0) yield all.slice(0, 1)
  }
  async drop(keys: readonly DirtyKey[]): Promise<void> {
    for (const { db, key } of keys) this.all.delete(`${db} ${key.toString('latin1')}`)
  }
  async remove(): Promise<void> {
    this.all.clear()
  }
}

const created = (name: string, db = 0): Undo => ({ db, key: bytes(name), before: null })
const had = (name: string, value = 'v'): Undo => ({ db: 0, key: bytes(name), before: record(name, value, 1234) })

describe('entries of a shared journal', () => {
  it('are known of one’s own at once, and of others when they are looked for', async () => {
    const shared = new MemoryJournal()
    const [one, other] = [new SharedEntries(shared), new SharedEntries(shared)]
    await one.keep([created('new'), had('old\xff')])
    const known = (of: SharedEntries) => ['new', 'old\xff', 'none'].map((name) => of.has(0, bytes(name)))
    expect(known(one)).toEqual([true, true, false])
    expect([one.created(0, bytes('new')), one.created(0, bytes('old\xff'))]).toEqual([true, false])
    expect(known(other)).toEqual([false, false, false])
    await other.refresh()
    expect(known(other)).toEqual([true, true, false])
    expect([other.created(0, bytes('new')), other.created(0, bytes('old\xff'))]).toEqual([true, false])
  })

  it('stay as they were first, whoever comes later', async () => {
    const shared = new MemoryJournal()
    await new SharedEntries(shared).keep([had('k', 'before')])
    await new SharedEntries(shared).keep([had('k', 'what the first has written')])
    expect([...shared.all.values()]).toMatchObject([{ before: { value: { items: [bytes('before')] } } }])
  })

  it('are not known where they could not be kept', async () => {
    const shared = new MemoryJournal()
    shared.keep = () => Promise.reject(new Error('away'))
    const entries = new SharedEntries(shared)
    await expect(entries.keep([had('k')])).rejects.toThrow('away')
    expect(entries.has(0, bytes('k'))).toBe(false)
  })

  it('are bytes of every form of value and back', () => {
    const values = [
      record('s\x00\xff', 'v\x00\xff', 99),
      { ...record('l'), value: { form: 'items' as const, type: 'list' as const, items: [bytes('a\xff'), bytes('')] } },
    ]
    for (const value of values) expect(unpackUndo(value, packUndo(value))).toEqual(value)
    expect(() => unpackUndo(created('k'), bytes('not that'))).toThrow()
  })
})

describe('a rollback by a shared journal', () => {
  it('goes through a copy that leaves nothing behind, and drops what is done in both', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fm-undo-'))
    const shared = new MemoryJournal()
    await shared.keep([created('a'), had('b'), created('c', 3), had('d')])
    const undos = await pulledUndos(shared, directory, 'm')
    expect(undos.count()).toBe(4)
    const pages = [...undos.pages()]
    expect(pages.map((page) => page.map(({ key }) => key.toString()))).toEqual([['a', 'b', 'd'], ['c']])
    expect(pages[0][1]).toMatchObject({ before: { expireAt: 1234, value: { items: [bytes('v')] } } })
    await undos.drop([had('b')])
    expect([undos.count(), shared.all.size]).toEqual([3, 3])
    undos.close()
    expect(readdirSync(directory)).toEqual([])
    // One that was ended in between begins with what is left.
    const again = await pulledUndos(shared, directory, 'm')
    expect(again.count()).toBe(3)
    again.close()
  })

  it('leaves no copy behind where it cannot be had', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fm-undo-'))
    const shared = new MemoryJournal()
    await shared.keep([had('b')])
    const entries = shared.entries.bind(shared)
    shared.entries = async function* () {
      yield* entries()
      throw new Error('away')
    }
    await expect(pulledUndos(shared, directory, 'm')).rejects.toThrow('away')
    expect(readdirSync(directory)).toEqual([])
  })
})
