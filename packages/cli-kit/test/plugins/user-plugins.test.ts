import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UserPlugins } from '@ferrite-migrate/cli-kit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fm-plugins-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('the plugins of a user', () => {
  it('are none where there is no list, and are kept with what others wrote there', () => {
    const plugins = new UserPlugins(directory)
    expect([plugins.all, plugins.packages]).toEqual([[], []])
    writeFileSync(join(directory, 'package.json'), '{"private":true,"dependencies":{"a":"1"},"other":1}')
    plugins.add({ name: 'a', type: 'user', tag: 'latest' })
    plugins.add({ name: 'b', type: 'link', root: '/b' })
    plugins.add({ name: 'a', type: 'user', tag: '2' })
    expect(plugins.all).toEqual([
      { name: 'b', type: 'link', root: '/b' },
      { name: 'a', type: 'user', tag: '2' },
    ])
    plugins.remove('b')
    expect([plugins.all.length, plugins.packages]).toEqual([1, ['a']])
    expect(plugins.folderOf({ name: '@x/y', type: 'user' })).toBe(join(directory, 'node_modules', '@x', 'y'))
  })

  it.each([
    'null',
    '[]',
    '{',
    '{"oclif":[]}',
    '{"oclif":{"plugins":"abc"}}',
    '{"oclif":{"plugins":{"a":1}}}',
    '{"oclif":{"plugins":[null]}}',
    '{"oclif":{"plugins":["x"]}}',
    '{"oclif":{"plugins":[{"name":5,"type":"user"}]}}',
    '{"oclif":{"plugins":[{"name":"x","type":"link","root":5}]}}',
    '{"oclif":{"plugins":[{"name":"x","type":"core"}]}}',
    '{"dependencies":5}',
  ])('are told to be broken, with the file: %s', (text) => {
    writeFileSync(join(directory, 'package.json'), text)
    expect(() => new UserPlugins(directory).all).toThrow(
      expect.objectContaining({ code: 'FM_PLUGIN_INSTALL', message: expect.stringContaining(directory) }),
    )
  })
})
