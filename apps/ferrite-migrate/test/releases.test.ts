import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Migration as MigrationType, Registry as RegistryType } from '@ferrite-migrate/core'
import { findPlugin, Migration, Registry } from '@ferrite-migrate/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command } from './run.js'
import { start } from './servers.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
/** The packages of that release as they were published, without types. */
const RELEASE = join(import.meta.dirname, 'releases', '0.1.0.tar.gz')

interface Core {
  readonly Migration: typeof MigrationType
  readonly Registry: typeof RegistryType
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fm-release-'))
  execFileSync('tar', ['-xzf', RELEASE, '-C', directory])
  // What is not ours is as it is now.
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (!name.startsWith('.') && name !== '@ferrite-migrate' && !name.includes('ferrite-migrate'))
      symlinkSync(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

async function dumpOf(url: string): Promise<string> {
  await command(url, 'SET', 'a', '1')
  await command(url, 'HSET', 'h', 'f', 'v')
  await command(url, 'RPUSH', 'l', 'x', 'y')
  await command(url, 'SAVE')
  const [, folder] = (await command(url, 'CONFIG', 'GET', 'dir')) as Buffer[]
  const [, name] = (await command(url, 'CONFIG', 'GET', 'dbfilename')) as Buffer[]
  const own = mkdtempSync(join(directory, 'dump-'))
  writeFileSync(join(own, 'dump.rdb'), readFileSync(join(String(folder), String(name))))
  return join(own, 'dump.rdb')
}

/** Live from a server, and a file, by what is given. */
async function migrates(core: Core, plugins: { readonly sources: string; readonly target: string }): Promise<void> {
  const [source, target] = [await start(), await start()]
  const dump = await dumpOf(source.url)
  const registry = new core.Registry([
    findPlugin('@ferrite-migrate/source-rdb', plugins.sources),
    findPlugin('@ferrite-migrate/source-redis', plugins.sources),
    findPlugin('@ferrite-migrate/target-ferrite', plugins.target),
  ])
  for (const [number, from] of [`rdb://${dump}`, source.url].entries()) {
    const live = number === 1
    await command(target.url, 'FLUSHALL')
    const stateDir = join(directory, `state-${number}-${Math.random()}`)
    mkdirSync(stateDir)
    const migration = new core.Migration(
      { source: from, target: target.url, mode: live ? 'live' : 'snapshot', exit: live, verify: true, stateDir },
      { registry },
    )
    const report = await migration.start()
    expect(report.status.state).toBe('COMPLETED')
    expect(report.verification?.equal).toBe(true)
    expect(await command(target.url, 'LLEN', 'l')).toBe(2)
  }
}

describe('within one contract', () => {
  it('plugins of the last release run with the core of today', async () => {
    await migrates({ Migration, Registry }, { sources: directory, target: directory })
  })

  it('plugins of today run with the core of the last release', async () => {
    const file = createRequire(join(directory, 'x.js')).resolve('@ferrite-migrate/core')
    const former = (await import(pathToFileURL(file).href)) as Core
    expect(former.Registry).not.toBe(Registry)
    await migrates(former, { sources: ROOT, target: ROOT })
  })
})
