import { describe, expect, it } from 'vitest'
import { keyRule, RecordTransform } from '../../dist/index.js'
import { renameCommands } from '../../dist/transform/renamed-commands.js'
import { bytes, command, names, words } from '../doubles.js'

function transform(given: Partial<ConstructorParameters<typeof RecordTransform>[0]>): RecordTransform {
  return new RecordTransform({
    ...{ keyRules: [], valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
    ...given,
  })
}
const prefixed = transform({ keyRules: [keyRule({ type: 'prefix', value: 'new:' })], dbs: new Map([[0, 3]]) })

describe('commands under other names', () => {
  it('have every key renamed, and nothing else', async () => {
    const { records, dirty } = await renameCommands(
      [
        command('MULTI'),
        command('MSET', 'a', 'a', 'b', 'b'),
        command('SUNIONSTORE', 'to', 'x', 'y'),
        command('EXEC'),
        command('PUBLISH', 'a', 'b'),
      ],
      prefixed,
    )
    expect(records.map(words)).toEqual([
      'MULTI',
      'MSET new:a a new:b b',
      'SUNIONSTORE new:to new:x new:y',
      'EXEC',
      'PUBLISH a b',
    ])
    expect([records[1].db, dirty]).toEqual([3, []])
  })

  it('tell which keys they write, and what these are called at the source', async () => {
    const { written, original } = await renameCommands([command('SET', 'a', 'v'), command('DEL', 'b')], prefixed)
    expect([names(written.keys), written.names.map((name) => String(name?.key))]).toEqual([['a'], ['new:a']])
    expect(original(3, bytes('new:a'))).toMatchObject({ db: 0, key: bytes('a') })
    expect([original(0, bytes('new:a')), original(3, bytes('new:x'))]).toEqual([null, null])
  })

  it('that name a key which is left out are not made: their keys are read', async () => {
    const leaving = transform({
      script: { keys: async (keys) => keys.map(({ key }) => (String(key) === 'out' ? null : key)) },
    })
    const { records, dirty } = await renameCommands(
      [command('RENAME', 'out', 'to'), command('SET', 'out', 'v'), command('SET', 'in', 'v')],
      leaving,
    )
    expect(records.map(words)).toEqual(['SET in v'])
    expect(names(dirty)).toEqual(['out', 'to', 'out'])
  })
})
