import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memcachedMissing, PackageRegistry, TestMemcached } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command } from './run.js'
import { start, stops } from './servers.js'

/** What the program, the source and the target may take together. */
const MOST_MB = 15

let registry: PackageRegistry
let directory: string

beforeAll(async () => {
  registry = await PackageRegistry.start()
  directory = mkdtempSync(join(tmpdir(), 'fm-install-'))
})
afterAll(async () => {
  await registry?.stop()
  rmSync(directory, { recursive: true, force: true })
})

interface Ran {
  readonly code: number | null
  readonly output: string
}

/** A program in an empty folder, with a data directory of its own, as in a step of CI. */
async function run(program: string, args: readonly string[], home: string): Promise<Ran> {
  mkdirSync(home, { recursive: true })
  const { NODE_OPTIONS: _, ...rest } = process.env
  const child = spawn(program, args, {
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...rest,
      CI: 'true',
      npm_config_registry: registry.url,
      npm_config_cache: join(directory, 'cache'),
      XDG_DATA_HOME: join(home, 'data'),
      XDG_CACHE_HOME: join(home, 'cache'),
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString('utf8')
    })
  const code = await new Promise<number | null>((done) => child.once('close', done))
  return { code, output }
}

async function install(prefix: string, ...packages: string[]): Promise<string> {
  const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--prefix', prefix]
  const { code, output } = await run('npm', ['install', '--global', ...flags, ...packages], prefix)
  expect([code, output]).toEqual([0, expect.any(String)])
  return join(prefix, 'bin', 'ferrite-migrate')
}

function megabytes(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size
  return bytes / 1_000_000
}

describe('the program alone', () => {
  let program: string
  let prefix: string
  beforeAll(async () => {
    prefix = join(directory, 'core')
    program = await install(
      prefix,
      '@ferrite-migrate/cli',
      '@ferrite-migrate/source-redis',
      '@ferrite-migrate/target-ferrite',
    )
  })

  it('migrates with the plugins that were installed beside it, and is small', async () => {
    const [source, target] = [await start(), await start()]
    await command(source.url, 'SET', 'a', '1')
    const ran = await run(program, ['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot'], prefix)
    expect(ran).toEqual({ code: 0, output: expect.stringContaining('COMPLETED') })
    expect(String(await command(target.url, 'GET', 'a'))).toBe('1')
    expect(megabytes(join(prefix, 'lib'))).toBeLessThan(MOST_MB)
  })

  it('names the package of what is missing, and installs nothing where nobody can be asked', async () => {
    const target = await start()
    for (const [args, name] of [
      [['import-rdb', 'dump.rdb', '-t', target.url], '@ferrite-migrate/source-rdb'],
      [['migrate', '-s', 'memcached://127.0.0.1:1', '-t', target.url], '@ferrite-migrate/source-memcached'],
      [['transform', 'test', '-t', 'rules.yaml'], '@ferrite-migrate/transform-script'],
    ] as const)
      expect(await run(program, args, prefix)).toEqual({
        code: 2,
        output: expect.stringContaining(`ferrite-migrate plugins install ${name}`),
      })
    expect(existsSync(join(prefix, 'data', 'ferrite-migrate', 'node_modules'))).toBe(false)
  })

  it('takes plugins, with their commands, and lets them go', async () => {
    const home = join(directory, 'home')
    const installed = await run(program, ['plugins', 'install', '@ferrite-migrate/source-rdb'], home)
    expect(installed).toEqual({
      code: 0,
      output: expect.stringMatching(/^Installed @ferrite-migrate\/source-rdb \d+\.\d+\.\d+\.\n$/),
    })
    const [source, target] = [await start(), await start()]
    await command(source.url, 'RPUSH', 'l', 'a', 'b')
    await command(source.url, 'SAVE')
    const [, folder] = (await command(source.url, 'CONFIG', 'GET', 'dir')) as Buffer[]
    const [, name] = (await command(source.url, 'CONFIG', 'GET', 'dbfilename')) as Buffer[]
    writeFileSync(join(home, 'dump.rdb'), readFileSync(join(String(folder), String(name))))
    const imported = await run(program, ['import-rdb', 'dump.rdb', '-t', target.url], home)
    expect(imported).toEqual({ code: 0, output: expect.stringContaining('COMPLETED') })
    expect(await command(target.url, 'LLEN', 'l')).toBe(2)
    expect((await run(program, ['import-rdb', '--help'], home)).output).toContain('Import an RDB file')
    const listed = JSON.parse((await run(program, ['plugins', '--json'], home)).output) as {
      plugins: { name: string; from: string; brings: string[] }[]
    }
    expect(listed.plugins.find(({ from }) => from === 'installed')).toMatchObject({
      name: '@ferrite-migrate/source-rdb',
      brings: ['source rdb://', 'analyze-rdb', 'import-rdb'],
    })
    expect((await run(program, ['import-rdb', 'dump.rdb', '-t', target.url, '--no-plugins'], home)).code).toBe(2)
    expect((await run(program, ['plugins', 'uninstall', '@ferrite-migrate/source-rdb'], home)).code).toBe(0)
    expect((await run(program, ['import-rdb', 'dump.rdb', '-t', target.url], home)).code).toBe(2)
  })

  it('installs what is missing where --yes agrees, and goes on', async ({ skip }) => {
    const reason = memcachedMissing()
    if (reason !== null) skip(reason)
    const home = join(directory, 'agreed')
    const target = await start()
    const cache = await TestMemcached.start()
    stops.push(() => cache.stop())
    const url = `memcached://127.0.0.1:${cache.port}`
    const ran = await run(
      program,
      ['migrate', '-s', url, '-t', target.url, '-m', 'snapshot', '--memcached-flags', 'sidecar', '--yes'],
      home,
    )
    expect(ran).toEqual({
      code: 0,
      output: expect.stringMatching(/Installing @ferrite-migrate\/source-memcached[\s\S]*COMPLETED/),
    })
    expect((await run(program, ['migrate', '--help'], home)).output).toContain('--memcached-flags')
  })

  it('refuses what is no plugin, and what npm cannot find', async () => {
    const home = join(directory, 'refused')
    const other = await run(program, ['plugins', 'install', '@ferrite-migrate/files'], home)
    expect(other).toEqual({ code: 2, output: expect.stringContaining('is no plugin of ferrite-migrate') })
    const none = await run(program, ['plugins', 'install', '@ferrite-migrate/there-is-none'], home)
    expect(none).toEqual({ code: 1, output: expect.stringContaining('FM_PLUGIN_INSTALL') })
    expect((await run(program, ['plugins', 'uninstall', 'x'], home)).output).toContain('No plugin was.')
    expect(JSON.parse((await run(program, ['plugins', '--json'], home)).output).plugins).not.toContainEqual(
      expect.objectContaining({ from: 'installed' }),
    )
  })
})

describe('the whole program', () => {
  it('has every command of the page, and no Python', async () => {
    const prefix = join(directory, 'full')
    const program = await install(prefix, 'ferrite-migrate')
    expect((await run(program, ['--version'], prefix)).output).toMatch(/^ferrite-migrate\/\d+\.\d+\.\d+ /)
    const { commands } = JSON.parse((await run(program, ['commands', '--json'], prefix)).output) as {
      commands: { command: string }[]
    }
    expect(commands.map(({ command: name }) => name)).toEqual(
      expect.arrayContaining(['migrate', 'import-rdb', 'import-aof', 'import', 'export', 'verify-hash', 'benchmark']),
    )
    const [source, target] = [await start(), await start()]
    const script = join(prefix, 'transform.py')
    writeFileSync(script, 'def transform_key(key):\n    return key\n')
    const asked = await run(
      program,
      ['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--transform-script', script],
      prefix,
    )
    expect(asked).toEqual({ code: 2, output: expect.stringContaining('@ferrite-migrate/transform-python') })
  })
})
