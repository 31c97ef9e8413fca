import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { ChangeRecord } from '@ferrite-migrate/contracts'
import { commandRecord } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { type ConflictPolicy, ForeignKeys } from '../../../dist/engine/target-content/foreign-keys.js'
import { NO_TRANSFORM, RecordFilter } from '../../../dist/index.js'
import { TargetKeys } from '../../../dist/transform/target-keys.js'
import { bytes, command, names, record, words } from '../../doubles.js'

async function foreign(policy: ConflictPolicy, ...keys: string[]): Promise<ForeignKeys> {
  const found = await find(policy, ...keys)
  if (found === null) throw new Error('nothing is foreign')
  return found
}

function find(policy: ConflictPolicy, ...keys: string[]): Promise<ForeignKeys | null> {
  const store = new MemoryStore()
  for (const key of keys) store.set(record(key))
  return ForeignKeys.find({
    target: new MemoryTarget(store),
    targetKeys: new TargetKeys(new RecordFilter({ exclude: ['other:*'] }), NO_TRANSFORM),
    policy,
    wrote: (_, key) => String(key) === 'mine',
  })
}

const del = (db: number, keys: Buffer[]): ChangeRecord => commandRecord(db, [bytes('DEL'), ...keys], 0)
const conflict = expect.objectContaining({ code: 'FM_TARGET_CONFLICT', message: expect.stringContaining('theirs') })

describe('foreign keys', () => {
  it('are what the target had and this migration neither wrote nor wants', async () => {
    const keys = await foreign('replace', 'theirs', 'mine', 'other:x')
    expect(['theirs', 'mine', 'other:x', 'none'].map((key) => keys.has(0, bytes(key)))).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect(keys.has(1, bytes('theirs'))).toBe(false)
    expect(await find('replace', 'mine', 'other:x')).toBeNull()
  })

  it('that are written whole are this migration’s from then on', async () => {
    const keys = await foreign('replace', 'theirs')
    keys.claim([record('theirs')])
    expect(keys.has(0, bytes('theirs'))).toBe(false)
    const staying = await foreign('skip', 'theirs')
    staying.claim([record('theirs')])
    expect(staying.has(0, bytes('theirs'))).toBe(true)
  })

  it('are spared, refused or written over, as was asked', async () => {
    const records = [record('new'), record('theirs')]
    expect((await foreign('replace', 'theirs')).spare(records)).toBe(records)
    expect(names((await foreign('skip', 'theirs')).spare(records))).toEqual(['new'])
    const failing = await foreign('fail', 'theirs')
    expect(() => failing.spare(records)).toThrow(conflict)
    expect(failing.spare([records[0]])).toEqual([records[0]])
  })
})

describe('commands upon foreign keys', () => {
  const records = [command('SET', 'new', 'v'), command('INCR', 'theirs'), command('GET', 'theirs')]

  it('are left as they are when none touches one', async () => {
    expect((await foreign('replace', 'theirs')).part([records[0], records[2]], true, del)).toBeNull()
  })

  it('give way to a look at the whole value', async () => {
    const keys = await foreign('replace', 'theirs')
    const parted = keys.part([...records, command('INCR', 'theirs')], true, del)
    expect(parted?.records.map(words)).toEqual(['SET new v', 'GET theirs'])
    expect(names(parted?.reread ?? [])).toEqual(['theirs', 'theirs'])
    // From the next batch on it is ours.
    expect(keys.part([command('INCR', 'theirs')], true, del)).toBeNull()
  })

  it('make a new key where nothing can be read: the source had none of that name', async () => {
    const parted = (await foreign('replace', 'theirs')).part([...records, command('INCR', 'theirs')], false, del)
    expect(parted?.records.map(words)).toEqual(['SET new v', 'DEL theirs', 'INCR theirs', 'GET theirs', 'INCR theirs'])
    expect(parted?.reread).toEqual([])
  })

  it('are left out where the keys are to stay, and their other keys are read', async () => {
    const parted = (await foreign('skip', 'theirs')).part([command('RENAME', 'theirs', 'to'), ...records], true, del)
    expect(parted?.records.map(words)).toEqual(['SET new v', 'GET theirs'])
    expect([parted?.skipped, names(parted?.reread ?? [])]).toEqual([2, ['to']])
  })

  it('end the run where that was asked for', async () => {
    const failing = await foreign('fail', 'theirs')
    expect(() => failing.part(records, true, del)).toThrow(conflict)
  })
})
