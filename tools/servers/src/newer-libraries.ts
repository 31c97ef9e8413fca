import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SUITE = 'trixie'
const PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6']
const LIBRARIES = 'usr/lib/x86_64-linux-gnu'

/**
 * A script beside a program that starts it with the C library of a newer Debian, unpacked into the cache; the system is not
 * touched. The script becomes the program, so its pid is the server's.
 * @throws Error when this system is no Debian, or the packages cannot be had
 */
export async function withNewerLibraries(program: string): Promise<string> {
  const wrapper = `${program}.sh`
  if (existsSync(wrapper)) return wrapper
  const home = join(dirname(dirname(dirname(dirname(program)))), `${SUITE}-libraries`)
  if (!existsSync(home)) await fetchLibraries(home)
  const libraries = join(home, LIBRARIES)
  const fresh = `${wrapper}.${process.pid}`
  writeFileSync(
    fresh,
    `#!/bin/sh\nexec "${libraries}/ld-linux-x86-64.so.2" --library-path "${libraries}" --argv0 redis-server "${program}" "$@"\n`,
  )
  chmodSync(fresh, 0o755)
  renameSync(fresh, wrapper)
  return wrapper
}

async function fetchLibraries(home: string): Promise<void> {
  const fresh = `${home}.${process.pid}`
  const place = (...parts: string[]): string => join(fresh, 'apt', ...parts)
  try {
    for (const folder of ['parts', 'state/lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(place(folder), { recursive: true })
    writeFileSync(place('state/status'), '')
    writeFileSync(place('parts/newer.sources'), newerSources())
    const options = [
      ['Dir::Etc::sourcelist', '/dev/null'],
      ['Dir::Etc::sourceparts', place('parts')],
      ['Dir::State', place('state')],
      ['Dir::State::status', place('state/status')],
      ['Dir::Cache', place('cache')],
      ['APT::Sandbox::User', userInfo().username],
      ['Acquire::Languages', 'none'],
    ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
    await run('apt-get', [...options, '-qq', 'update'], { timeout: 120_000 })
    await run('apt-get', [...options, '-qq', 'download', ...PACKAGES], { timeout: 120_000, cwd: place('debs') })
    for (const file of readdirSync(place('debs'))) await run('dpkg-deb', ['-x', place('debs', file), fresh])
    rmSync(place(), { recursive: true, force: true })
    try {
      renameSync(fresh, home)
    } catch {
      // Another process was faster; its copy is as good.
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/** The system's own package sources with another suite: same mirror, same keys. @throws Error when there are none */
function newerSources(): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1]
  if (!/^ID=debian$/m.test(release) || codename === undefined)
    throw new Error('it wants a newer C library than this system has')
  const folder = '/etc/apt/sources.list.d'
  const paragraphs = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.sources'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split(/\n\s*\n/))
    .filter((text) => new RegExp(`^Suites:\\s*${codename}\\b`, 'm').test(text))
    .map((text) =>
      text
        .replace(/^Suites:.*$/m, `Suites: ${SUITE}`)
        .replace(/^Components:.*$/m, 'Components: main')
        .trim(),
    )
  if (paragraphs.length === 0)
    throw new Error('it wants a newer C library, and no package source of this system names one')
  return `${paragraphs[0]}\n`
}
