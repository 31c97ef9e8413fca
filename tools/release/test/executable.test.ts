import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ControlLink, keyspaceDifferences, TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeExecutable } from '../dist/binary/executable.js'
import { PLATFORMS, platformHere } from '../dist/binary/platforms.js'
import { packProgram } from '../dist/binary/program-archive.js'
import { installProgram } from '../dist/process/install-program.js'
import { type Ran, run } from '../dist/process/run.js'

const PLUGIN = resolve(import.meta.dirname, '..', '..', 'example-plugins', 'transform-shout')
const platform = PLATFORMS.find((one) => one === platformHere())

let directory: string
let file: string
let source: TestServer
let target: TestServer
let link: ControlLink

/** Without any Node on PATH. */
function call(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ran> {
  return run(file, args, {
    cwd: directory,
    input,
    env: {
      PATH: '/usr/bin:/bin',
      HOME: directory,
      XDG_CACHE_HOME: join(directory, 'cache'),
      XDG_DATA_HOME: join(directory, 'data'),
      ...env,
    },
  })
}

beforeAll(async () => {
  if (platform === undefined) return
  directory = mkdtempSync(join(tmpdir(), 'fm-executable-'))
  const program = join(directory, 'program')
  await installProgram(program)
  file = await makeExecutable(platform, packProgram(program, 1), '0.1.0', directory)
  rmSync(program, { recursive: true })
  source = await TestServer.start()
  target = await TestServer.start()
  link = new ControlLink(source.url)
  for (let i = 0; i < 300; i++) await link.call('SET', `user:${i}`, `value ${i}`)
})
afterAll(async () => {
  link?.close()
  await Promise.all([source?.stop(), target?.stop()])
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

describe.skipIf(platform === undefined)('the program as one file', () => {
  it('is what it is by npm, unpacked once for its user alone', async () => {
    expect(await call(['--version'])).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^ferrite-migrate\/\d+\.\d+\.\d+ /),
    })
    const cache = join(directory, 'cache', 'ferrite-migrate')
    const [folder, ...others] = readdirSync(cache).filter((name) => name.startsWith('program-'))
    expect(others).toEqual([])
    expect(statSync(join(cache, folder)).mode & 0o077).toBe(0)
    const { mtimeMs } = statSync(join(cache, folder))
    expect((await call(['--version'])).code).toBe(0)
    expect(statSync(join(cache, folder)).mtimeMs).toBe(mtimeMs)
    const installation = JSON.parse((await call(['version', '--json'])).told) as { plugins: object[]; whole: boolean }
    expect([installation.whole, installation.plugins.length > 8]).toEqual([true, true])
  })

  it('migrates, with a script in its sandbox, with rules of jq, and keeps its state', async () => {
    const script = join(directory, 'rename.ts')
    writeFileSync(
      script,
      'export function transformKey(key: string): string { return key.replace("user", "person") }\n',
    )
    const ends = ['-s', source.url, '-t', target.url]
    const ran = await call([
      'migrate',
      ...ends,
      '-m',
      'snapshot',
      '--transform-script',
      script,
      '--verify',
      '--id',
      'one',
    ])
    expect(ran).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    const rules = join(directory, 'rules.yaml')
    writeFileSync(rules, `transformations:\n  values:\n    - type: jq\n      filter: '"by jq"'\n      match: none\n`)
    const byJq = ['migrate', ...ends, '-m', 'snapshot', '--transform', rules, '--id', 'two']
    expect(await call(byJq)).toMatchObject({ code: 0, output: expect.stringContaining('COMPLETED') })
    expect((await call(['list'])).output).toMatch(/two[\s\S]*one/)
  })

  it('runs shards in processes of their own, and migrations behind the protocol', async () => {
    const flush = new ControlLink(target.url)
    await flush.call('FLUSHALL')
    flush.close()
    const args = ['migrate', '-s', source.url, '-t', target.url, '-m', 'live', '--exit', '--workers', '1']
    expect(await call(args)).toMatchObject({ code: 0, output: expect.stringContaining('COMPLETED') })
    expect(await keyspaceDifferences(source.url, target.url)).toEqual([])
    const config = { source: source.url, target: target.url, mode: 'snapshot' }
    const message = { jsonrpc: '2.0', id: 7, method: 'migration.plan', params: { config } }
    // The end of the input ends it: it has to be asked for the answer first.
    const plan = await run('sh', ['-c', `(cat; sleep 5) | "${file}" rpc`], {
      cwd: directory,
      input: `${JSON.stringify(message)}\n`,
      env: { PATH: '/usr/bin:/bin', HOME: directory, XDG_CACHE_HOME: join(directory, 'cache') },
    })
    expect(plan.output).toContain('"refused":false')
  })

  it('has the page of the dashboard', async () => {
    const child = run(
      'timeout',
      ['-s', 'TERM', '6', file, 'serve', '--listen', '0', '--state-dir', join(directory, 'served')],
      {
        cwd: directory,
        env: { PATH: '/usr/bin:/bin', HOME: directory, XDG_CACHE_HOME: join(directory, 'cache') },
      },
    )
    expect((await child).output).toMatch(/Answering at http:\/\/127\.0\.0\.1:\d+/)
    const [program] = readdirSync(join(directory, 'cache', 'ferrite-migrate')).filter((name) =>
      name.startsWith('program-'),
    )
    const page = join(directory, 'cache', 'ferrite-migrate', program, 'node_modules', '@ferrite-migrate', 'dashboard')
    expect(existsSync(join(page, 'dist', 'index.html'))).toBe(true)
  })

  it('takes plugins from a folder', async () => {
    const ran = await call(['plugins', 'link', PLUGIN])
    expect(ran).toMatchObject({ code: 0 })
    expect((await call(['plugins'])).output).toContain('linked to')
  })

  it('unpacks anew what was damaged, through a link too, and without a home', async () => {
    const cache = join(directory, 'damaged')
    const link = join(directory, 'a link')
    mkdirSync(cache, { mode: 0o700 })
    symlinkSync(cache, link)
    const env = { FERRITE_MIGRATE_CACHE_DIR: link }
    expect((await call(['--version'], env)).code).toBe(0)
    const [folder] = readdirSync(cache)
    expect(existsSync(join(cache, folder, 'LICENSE.node'))).toBe(true)
    const left = join(cache, 'program-0.0.0-x.AbCdEf')
    mkdirSync(left)
    utimesSync(left, 1, 1)
    rmSync(join(cache, folder, 'node_modules', 'ferrite-migrate', 'bin', 'run.js'))
    expect((await call(['--version'], env)).code).toBe(0)
    expect(readdirSync(cache)).toEqual([folder])
    writeFileSync(join(cache, folder, 'node'), '')
    expect((await call(['--version'], env)).code).toBe(0)
  })

  it('says where it cannot be unpacked, and trusts no folder that others can write to', async () => {
    const blocked = join(directory, 'file')
    writeFileSync(blocked, '')
    const none = await call(['--version'], { FERRITE_MIGRATE_CACHE_DIR: join(blocked, 'x') })
    expect(none).toMatchObject({ code: 1, output: expect.stringContaining('FM_UNPACK') })
    const shared = join(directory, 'shared')
    mkdirSync(shared, { mode: 0o777 })
    chmodSync(shared, 0o777)
    const refused = await call(['--version'], { FERRITE_MIGRATE_CACHE_DIR: shared })
    expect(refused).toMatchObject({ code: 1, output: expect.stringContaining('can be written to by others') })
  })
})
