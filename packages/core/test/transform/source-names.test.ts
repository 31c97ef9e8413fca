import { MemoryStore } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { type KeyRuleSpec, keyRule, RecordFilter, RecordTransform } from '../../dist/index.js'
import { SourceNames } from '../../dist/transform/source-names.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { bytes, names, record } from '../doubles.js'

function transform(spec: KeyRuleSpec | null, script = false): RecordTransform {
  return new RecordTransform({
    ...{ valueRules: [], template: null, dbs: new Map(), end: null, onError: 'fail' },
    keyRules: spec === null ? [] : [keyRule(spec)],
    script: script
      ? { keys: async (keys) => keys.map(({ key }) => (String(key) === 'out' ? null : bytes(`${key}`.slice(-1)))) }
      : null,
  })
}

describe('names at the source', () => {
  const store = new MemoryStore()
  for (const key of ['user:1', 'cart:1', 'user:2', 'out']) store.set(record(key))

  it('are told by rules that can be turned round, without asking the source', async () => {
    const found = await SourceNames.of(new MemoryStore().reader(), transform({ type: 'prefix', value: 'new:' }))
    expect([names(found.originals(0, bytes('new:a'))), names(found.originals(0, bytes('a')))]).toEqual([['a'], []])
    found.close()
  })

  it('are all that got a name, where a script hides them', async () => {
    const found = await SourceNames.of(store.reader(), transform(null, true))
    expect([names(found.originals(0, bytes('1'))).sort(), names(found.originals(0, bytes('2')))]).toEqual([
      ['cart:1', 'user:1'],
      ['user:2'],
    ])
    expect([found.originals(0, bytes('3')), found.originals(1, bytes('1'))]).toEqual([[], []])
    found.close()
  })
})

describe('keys of a target', () => {
  const filter = new RecordFilter({ include: ['a*'] })

  it('are this migration’s where a key of the source may have been called so', () => {
    const taken = (of: RecordTransform, key: string): boolean => new TargetKeys(filter, of).takesKey(0, bytes(key))
    expect([taken(transform(null), 'a1'), taken(transform(null), 'b1')]).toEqual([true, false])
    const prefixed = transform({ type: 'prefix', value: 'new:' })
    expect(['new:a1', 'new:b1', 'a1'].map((key) => taken(prefixed, key))).toEqual([true, false, false])
    // A script hides it: any may be.
    expect(taken(transform(null, true), 'b1')).toBe(true)
  })
})
