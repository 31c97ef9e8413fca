import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { platformHere } from '../dist/binary/platforms.js'

const CRATE = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'launcher-rust')
const NAME = `ferrite-migrate-${platformHere()}`
const VERSION = /^version = "(.*)"$/m.exec(readFileSync(join(CRATE, 'Cargo.toml'), 'utf8'))?.[1] ?? ''

/** It has no dependencies: a cargo is enough. */
const built = spawnSync('cargo', ['build', '--quiet', '--locked'], { cwd: CRATE, timeout: 180_000 }).status === 0

let directory: string
let server: Server
let base: string
const files = new Map<string, Buffer>()

function program(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}

function run(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number | null; told: string; said: string }> {
  const child = spawn(join(directory, 'cargo', 'ferrite-migrate'), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { HOME: join(directory, 'home'), FERRITE_MIGRATE_BASE_URL: base, ...env },
  })
  let told = ''
  let said = ''
  child.stdout.on('data', (data: Buffer) => {
    told += data.toString('utf8')
  })
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString('utf8')
  })
  return new Promise((done) => child.once('close', (code) => done({ code, told, said })))
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fm-launcher-'))
  server = createServer(({ url = '/' }, response) => {
    const found = files.get(url)
    response.writeHead(found === undefined ? 404 : 200).end(found)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  base = `http://127.0.0.1:${address.port}`
  mkdirSync(join(directory, 'cargo'))
  if (built)
    copyFileSync(join(CRATE, 'target', 'debug', 'ferrite-migrate'), join(directory, 'cargo', 'ferrite-migrate'))
})
afterAll(() => {
  server?.closeAllConnections()
  server?.close()
  rmSync(directory, { recursive: true, force: true })
})

describe.skipIf(!built)('the launcher that cargo installs', () => {
  const system = '/usr/bin:/bin'

  it('passes its own tests, and clippy', () => {
    for (const args of [
      ['test', '--quiet', '--locked'],
      ['clippy', '--quiet', '--locked', '--all-targets', '--', '-D', 'warnings'],
    ]) {
      const { status, stderr } = spawnSync('cargo', args, { cwd: CRATE, encoding: 'utf8' })
      expect([args[0], status, status === 0 ? '' : stderr]).toEqual([args[0], 0, ''])
    }
  }, 300_000)

  it('becomes what is named, or found on PATH beside itself, with all its arguments and its exit code', async () => {
    const named = program(join(directory, 'named'), 'other', 'echo "named $*"; exit 3')
    expect(await run(['a', 'b c'], { FERRITE_MIGRATE_BIN: named, PATH: system })).toMatchObject({
      ...{ code: 3, told: 'named a b c\n' },
    })
    const found = join(directory, 'found')
    program(found, 'ferrite-migrate', 'echo found; exit 130')
    const path = `${join(directory, 'cargo')}:relative:${found}:${system}`
    expect(await run([], { PATH: path })).toMatchObject({ code: 130, told: 'found\n' })
    const wrong = await run([], { FERRITE_MIGRATE_BIN: join(directory, 'none'), PATH: path })
    expect(wrong).toMatchObject({ code: 2, said: expect.stringContaining('FM_TOOL_MISSING') })
  })

  it('ends where it finds another of its kind', async () => {
    const other = join(directory, 'second')
    mkdirSync(other)
    copyFileSync(join(directory, 'cargo', 'ferrite-migrate'), join(other, 'ferrite-migrate'))
    const loop = await run(['x'], { PATH: `${join(directory, 'cargo')}:${other}:${system}` })
    expect(loop).toMatchObject({ code: 2, said: expect.stringContaining('a launcher was found') })
    const named = await run([], { FERRITE_MIGRATE_BIN: join(directory, 'cargo', 'ferrite-migrate'), PATH: system })
    expect(named.code).toBe(2)
  })

  it('finds what npm has installed', async () => {
    const root = join(directory, 'npm-root')
    mkdirSync(join(root, 'ferrite-migrate', 'bin'), { recursive: true })
    writeFileSync(join(root, 'ferrite-migrate', 'bin', 'run.js'), 'console.log("by npm", process.argv[2])\n')
    const tools = join(directory, 'tools')
    program(tools, 'npm', `echo ${root}`)
    const node = join(process.execPath, '..')
    expect(await run(['x'], { PATH: `${tools}:${node}:${system}` })).toMatchObject({ code: 0, told: 'by npm x\n' })
  })

  it('brings nothing unasked', async () => {
    const { code, told, said } = await run(['--version'], { PATH: system })
    expect([code, told]).toEqual([2, ''])
    expect(said).toContain('FERRITE_MIGRATE_DOWNLOAD=1')
    expect((await run([], { PATH: system, CI: 'true' })).code).toBe(2)
  })

  it('asks npm for its own version in a job of continuous integration', async () => {
    const tools = join(directory, 'job')
    program(tools, 'npm', 'if [ "$1" = root ]; then echo /none; else echo "npm $*"; fi')
    program(tools, 'node', 'echo v24.1.0')
    const env = { PATH: `${tools}:${system}`, CI: 'true' }
    expect(await run(['migrate', '-m', 'live'], env)).toMatchObject({
      code: 0,
      told: `npm exec --yes --package ferrite-migrate@^${VERSION} -- ferrite-migrate migrate -m live\n`,
    })
    program(tools, 'node', 'echo v20.0.0')
    expect((await run(['migrate'], env)).code).toBe(2)
  })

  it('downloads its own version where it was asked, checked, and once', async () => {
    const bytes = Buffer.from('#!/bin/sh\necho "downloaded $*"\n')
    const packed = gzipSync(bytes)
    const sha = (of: Buffer): string => createHash('sha256').update(of).digest('hex')
    files.set(`/download/v${VERSION}/${NAME}.gz`, Buffer.concat([packed, Buffer.from('x')]))
    files.set(`/download/v${VERSION}/SHA256SUMS`, Buffer.from(`${sha(bytes)}  ${NAME}\n${sha(packed)}  ${NAME}.gz\n`))
    const env = { PATH: system, FERRITE_MIGRATE_DOWNLOAD: '1', XDG_DATA_HOME: join(directory, 'data') }
    const kept = join(directory, 'data', 'ferrite-tools', VERSION, 'ferrite-migrate')
    const damaged = await run(['x'], env)
    expect(damaged).toMatchObject({ code: 2, told: '', said: expect.stringContaining('not what SHA256SUMS says') })
    expect(existsSync(kept)).toBe(false)
    files.set(`/download/v${VERSION}/${NAME}.gz`, packed)
    expect(await run(['x'], env)).toMatchObject({ code: 0, told: 'downloaded x\n' })
    files.clear()
    const again = { PATH: system, XDG_DATA_HOME: join(directory, 'data') }
    expect(await run(['y'], again)).toMatchObject({ code: 0, told: 'downloaded y\n', said: '' })
  })
})
