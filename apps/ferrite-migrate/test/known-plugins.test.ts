import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseManifest } from '@ferrite-migrate/contracts'
import { KNOWN_PLUGINS } from '@ferrite-migrate/core'
import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')

describe('the plugins that may be missing', () => {
  const files = globSync('plugins/*/package.json', { cwd: ROOT })
  it.each(files)('are known as %s says', (file) => {
    const own = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as { name: string; ferriteMigrate?: unknown }
    const known = KNOWN_PLUGINS.find(({ name }) => name === own.name)
    const adapters = own.ferriteMigrate === undefined ? [] : parseManifest(own.ferriteMigrate, file, own.name).adapters
    const of = (kind: string): string[] =>
      adapters.filter((one) => one.kind === kind).flatMap(({ schemes }) => [...schemes])
    expect([...(known?.source ?? [])].sort()).toEqual(of('source').sort())
    expect([...(known?.target ?? [])].sort()).toEqual(of('target').sort())
    expect(known?.transforms ?? []).toEqual(adapters.filter(({ kind }) => kind === 'transform').map(({ name }) => name))
    const flags = adapters.flatMap(({ options }) => options.flatMap(({ flag }) => (flag === undefined ? [] : [flag])))
    expect(known?.flags ?? []).toEqual(flags)
    const commands = globSync('src/commands/**/*.ts', { cwd: join(ROOT, file, '..') }).map((path) =>
      path.slice('src/commands/'.length, -'.ts'.length).replaceAll('/', ' '),
    )
    expect([...(known?.commands ?? [])].sort()).toEqual(commands.sort())
  })
})
