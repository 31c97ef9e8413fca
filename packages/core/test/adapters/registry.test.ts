import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type AdapterSpec, CONTRACT_MAJOR } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { type FoundPlugin, findPlugin, Registry, silentLogger } from '../../dist/index.js'
import { directory } from '../doubles.js'

const place = directory()
const context = { logger: silentLogger, signal: new AbortController().signal, tempDir: place }

function plugin(name: string, adapter: Partial<AdapterSpec>, root = '/x', contract = CONTRACT_MAJOR): FoundPlugin {
  const spec = { kind: 'source', name, schemes: ['s'], module: './i.js', ...adapter }
  return { name, root, packageJson: { name, ferriteMigrate: { contract, adapters: [spec] } } }
}
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })

/** A package on disk whose adapter gives back what it was opened with. */
function installed(name: string, adapter: Partial<AdapterSpec>, source?: string): FoundPlugin {
  const root = join(place, 'node_modules', name)
  mkdirSync(root, { recursive: true })
  const one = plugin(name, adapter, root)
  writeFileSync(join(root, 'package.json'), JSON.stringify(one.packageJson))
  writeFileSync(
    join(root, 'i.js'),
    source ??
      'module.exports = { createSource: async (context) => ({ capabilities: {}, shards: [{ id: "one", read() {} }], description: { url: context.url, ...context.options } }) }',
  )
  return one
}
const options: AdapterSpec['options'] = [
  { name: 'size', type: 'bytes', description: 'x', default: '1kb' },
  { name: 'tls', type: 'boolean', description: 'x' },
  { name: 'password', type: 'string', description: 'x', secret: true },
]

describe('registry', () => {
  it('refuses two claims to one scheme, naming both', () => {
    expect(() => new Registry([plugin('a', {}), plugin('b', {})])).toThrow(coded('FM_PLUGIN_SCHEME', /a and b/))
    // What is a source may be a target as well.
    const both = new Registry([plugin('a', {}), plugin('b', { kind: 'target' })])
    expect([both.adapters('source').length, both.adapters('target').length]).toEqual([1, 1])
  })

  it('ignores packages without the block, and refuses a wrong one', () => {
    expect(new Registry([{ name: 'x', root: '/', packageJson: {} }]).adapters('source')).toEqual([])
    expect(() => new Registry([plugin('a', { module: '../outside.js' })])).toThrow(
      coded('FM_PLUGIN_MANIFEST', /module/),
    )
  })

  it('refuses a plugin of another contract, naming it', () => {
    const former = () => new Registry([plugin('a', {}), plugin('former', { schemes: ['f'] }, '/x', CONTRACT_MAJOR - 1)])
    expect(former).toThrow(coded('FM_PLUGIN_CONTRACT', /the plugin former is written for contract 1/))
  })

  it('knows what takes an address, and says what there is', async () => {
    const registry = new Registry([plugin('a', { schemes: ['one', 'two'] })])
    const open = (url: string) => registry.source(url, {}, {}, context)
    await expect(open('no address')).rejects.toEqual(coded('FM_URL_INVALID', /no scheme/))
    await expect(open('three://h')).rejects.toMatchObject({
      ...{ code: 'FM_PLUGIN_MISSING', hint: expect.stringContaining('one://, two://') },
    })
    await expect(registry.target('one://h', {}, {}, context)).rejects.toEqual(coded('FM_PLUGIN_MISSING'))
    await expect(registry.transform('none', '', {}, context)).rejects.toEqual(coded('FM_PLUGIN_MISSING'))
  })

  it('opens with options from the manifest, the run, the address and those given, the later before the earlier', async () => {
    const registry = new Registry([installed('opened', { schemes: ['opened'], options })])
    const open = async (url: string, offered: Record<string, string>, given: Record<string, string | boolean>) =>
      (await registry.source(url, offered, given, context)).description
    expect(await open('opened://h', {}, {})).toEqual({ url: 'opened://h', size: 1024 })
    expect(await open('opened://h', { size: '2kb', unknown: 'x' }, {})).toMatchObject({ size: 2048 })
    expect(await open('opened://h?size=3kb&tls=true', { size: '2kb' }, {})).toMatchObject({ size: 3072, tls: true })
    expect(await open('opened://h?size=3kb', {}, { size: '4kb', tls: false })).toMatchObject({ size: 4096, tls: false })
  })

  it('refuses options that are wrong, and shows no password that was taken for one', async () => {
    const registry = new Registry([installed('refusing', { schemes: ['refusing'], options })])
    const open = (url: string, given = {}) => registry.source(url, {}, given, context)
    await expect(open('refusing://h?sise=1kb')).rejects.toEqual(coded('FM_OPTION_UNKNOWN', /no option "sise"/))
    await expect(open('refusing://h?hid!den=1')).rejects.toEqual(coded('FM_OPTION_UNKNOWN', /^(?!.*hid)/))
    await expect(open('refusing://h', { size: 'large' })).rejects.toMatchObject({
      code: expect.stringMatching(/^FM_OPTION/),
    })
    await expect(open('refusing://u:p/w@h')).rejects.toEqual(coded('FM_URL_INVALID', /^(?!.*p\/w)/))
  })

  it('says that a plugin is broken whose module lacks what its manifest names', async () => {
    const registry = new Registry([installed('broken', { schemes: ['broken'] }, 'module.exports = {}')])
    await expect(registry.source('broken://h', {}, {}, context)).rejects.toEqual(
      coded('FM_PLUGIN_MANIFEST', /exports no createSource/),
    )
  })
})

describe('a plugin', () => {
  it('is found by its name as from a module, or by its folder', () => {
    const { root } = installed('found', { schemes: ['found'] })
    expect(findPlugin('found', place)).toMatchObject({ name: 'found', root })
    expect(findPlugin('./node_modules/found', place)).toMatchObject({ name: 'found', root })
    expect(() => findPlugin('not-there', place)).toThrow(coded('FM_PLUGIN_MISSING', /not-there is not installed/))
    const from = pathToFileURL(join(place, 'x.js')).href
    expect(Registry.fromPackages(['found'], from).adapters('source')[0]).toMatchObject({ schemes: ['found'] })
  })
})
