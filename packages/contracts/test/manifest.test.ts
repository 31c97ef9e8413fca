import { describe, expect, it } from 'vitest'
import { CONTRACT_MAJOR, MigrateError, parseManifest, parseOption } from '../dist/index.js'

const good = {
  contract: CONTRACT_MAJOR,
  adapters: [
    {
      kind: 'source',
      name: 'x',
      schemes: ['x'],
      module: './dist/index.js',
      options: [{ name: 'n', type: 'integer', description: 'd', default: 3 }],
    },
  ],
}

describe('parseManifest', () => {
  it('takes a right one', () =>
    expect(parseManifest(good, 'p', 'x').adapters[0]).toMatchObject({ kind: 'source', schemes: ['x'] }))
  it('reads the flag of an option', () => {
    const options = [{ name: 'n', type: 'string', description: 'd', flag: 'the-n' }]
    const { adapters } = parseManifest({ ...good, adapters: [{ ...good.adapters[0], options }] }, 'p', 'x')
    expect(adapters[0].options[0].flag).toBe('the-n')
  })
  it.each([
    [{ ...good, contract: 'one' }, 'ferriteMigrate.contract must be'],
    [{ ...good, adapters: {} }, 'ferriteMigrate.adapters must be'],
    [{ ...good, adapters: [{ ...good.adapters[0], kind: 'sink' }] }, 'ferriteMigrate.adapters[0].kind'],
    [{ ...good, adapters: [{ ...good.adapters[0], schemes: ['X:'] }] }, 'ferriteMigrate.adapters[0].schemes[0]'],
    [{ ...good, adapters: [{ ...good.adapters[0], schemes: [] }] }, 'ferriteMigrate.adapters[0].schemes'],
    [{ ...good, adapters: [{ ...good.adapters[0], module: '../evil.js' }] }, 'ferriteMigrate.adapters[0].module'],
    [
      { ...good, adapters: [{ ...good.adapters[0], options: [{ name: 'n', type: 'date', description: 'd' }] }] },
      'ferriteMigrate.adapters[0].options[0].type',
    ],
    [
      {
        ...good,
        adapters: [{ ...good.adapters[0], options: [{ name: 'n', type: 'string', description: 'd', flag: '--N' }] }],
      },
      'ferriteMigrate.adapters[0].options[0].flag',
    ],
  ])('names file and field of %#', (block, text) => {
    expect(() => parseManifest(block, '/a/package.json', 'x')).toThrow(
      expect.objectContaining({
        code: 'FM_PLUGIN_MANIFEST',
        message: expect.stringContaining(`/a/package.json: ${text}`),
      }),
    )
  })
  it.each([
    [1, 'docs/contract-2.md'],
    [0, 'docs/contract-2.md'],
    [3, 'a newer ferrite-migrate'],
  ])('refuses contract %i, naming the plugin and what to do', (contract, hint) =>
    expect(() => parseManifest({ ...good, contract }, '/a/package.json', 'ferrite-migrate-source-x')).toThrow(
      expect.objectContaining({
        code: 'FM_PLUGIN_CONTRACT',
        message: expect.stringMatching(`ferrite-migrate-source-x is written for contract ${contract}.*/a/package.json`),
        hint: expect.stringContaining(hint),
      }),
    ),
  )
  it('takes transforms of contract 1, alone', () => {
    const transform = { kind: 'transform', name: 'x', module: './x.js' }
    expect(parseManifest({ contract: 1, adapters: [transform] }, 'p', 'x').adapters).toHaveLength(1)
    for (const adapters of [[transform, good.adapters[0]], [], [null]])
      expect(() => parseManifest({ contract: 1, adapters }, 'p', 'x')).toThrow(
        expect.objectContaining({ code: 'FM_PLUGIN_CONTRACT' }),
      )
  })
})

describe('parseOption', () => {
  const spec = (type: 'bytes' | 'duration' | 'boolean' | 'integer', secret = false) => ({
    name: 'o',
    type,
    description: 'd',
    secret,
  })
  it.each([
    ['bytes', '64mb', 67108864],
    ['bytes', '10', 10],
    ['duration', '500ms', 500],
    ['duration', '2', 2000],
    ['duration', '1.5m', 90000],
    ['boolean', 'yes', true],
    ['boolean', 'off', false],
    ['integer', '-3', -3],
  ] as const)('%s %s is %s', (type, raw, value) => expect(parseOption(spec(type), raw)).toBe(value))
  it.each([
    ['bytes', 'lots'],
    ['duration', '-1s'],
    ['boolean', 'maybe'],
    ['integer', '1.5'],
  ] as const)('%s refuses %s', (type, raw) => expect(() => parseOption(spec(type), raw)).toThrow(MigrateError))
  it('never prints a secret', () =>
    expect(() => parseOption(spec('integer', true), 'hunter2')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    ))
})
