// Sets a fresh clone up: dependencies from the lock file, build, servers. Runs on whatever Node the system has, so it
// uses nothing newer than Node 18 and no dependency.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const mark = join(root, 'node_modules', '.ferrite-migrate-lock')

function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, NX_TUI: 'false', CI: process.env.CI ?? 'true' },
    ...options,
  })
  return {
    ok: result.status === 0,
    text: `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? result.error.message : ''}`,
  }
}

function step(what, action) {
  const startedAt = Date.now()
  process.stderr.write(`${what} … `)
  const problem = action()
  if (problem) {
    process.stderr.write(`failed\n${problem}\n`)
    process.exit(1)
  }
  process.stderr.write(`${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`)
}

const onPath = (name) => (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)))

function install() {
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === hash) return ''
  const flags = ['--no-audit', '--no-fund', '--loglevel=error']
  // `npm ci` refuses a lock file that lacks the packages of other platforms, which some registries do not carry.
  const clean = run('npm', ['ci', ...flags])
  if (!clean.ok) {
    const loose = run('npm', ['install', ...flags])
    if (!loose.ok) return `The dependencies could not be installed:\n${loose.text.slice(-3000)}`
  }
  writeFileSync(mark, hash)
  return ''
}

function build() {
  const built = run('npm', ['run', '--silent', 'build'])
  return built.ok ? '' : `The build failed:\n${built.text.slice(-5000)}`
}

function servers() {
  const wanted = ['redis-server', 'memcached']
  // The tests of the dashboard use a browser where there is one; only continuous integration installs it.
  const browsers = ['chromium', 'chromium-browser', 'google-chrome']
  if (process.env.CI === 'true' && !browsers.some(onPath)) wanted.push('chromium')
  const missing = wanted.filter((name) => !onPath(name))
  if (missing.length === 0) return ''
  const root = typeof process.getuid === 'function' && process.getuid() === 0
  if (root && onPath('apt-get')) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    run('apt-get', ['update', '-qq'], { env })
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { env })
  }
  const still = missing.filter((name) => !onPath(name))
  if (still.includes('redis-server'))
    process.stderr.write(
      '\nThere is no redis-server on PATH: a Valkey from its Python wheel is used instead. To install it: apt-get install redis-server (or brew install redis).\n',
    )
  return ''
}

step('Installing dependencies', install)
step('Building', build)
step('Looking for servers', servers)
