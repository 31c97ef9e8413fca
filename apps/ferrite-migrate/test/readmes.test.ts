import { spawn } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start, stops } from './servers.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const PACKAGES = globSync('{packages,plugins,apps}/*/package.json', { cwd: ROOT }).map((file) => {
  const folder = join(ROOT, dirname(file))
  const { name, files } = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as { name: string; files: string[] }
  return { name, folder, files, readme: readFileSync(join(folder, 'README.md'), 'utf8') }
})
const SNIPPETS = PACKAGES.flatMap(({ name, folder, readme }) =>
  [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code], i) => ({ name, folder, code, number: i + 1 })),
)

describe('each package', () => {
  it.each(PACKAGES)('$name has a page that says what it is for', ({ name, readme }) => {
    expect(readme.startsWith(`# ${name}\n\n`)).toBe(true)
    expect(readme).toContain('```')
  })
})

describe('what the pages show', () => {
  let source: Awaited<ReturnType<typeof start>>
  let target: Awaited<ReturnType<typeof start>>
  let directory: string

  beforeEach(async () => {
    source = await start()
    target = await start()
    directory = stateDir()
    await command(source.url, 'SET', 'greeting', 'hello')
    await command(source.url, 'HSET', 'user:1', 'name', 'Ada')
    await command(source.url, 'ZADD', 'scores', '1.5', 'a')
    await command(source.url, 'SAVE')
    const [, folder] = (await command(source.url, 'CONFIG', 'GET', 'dir')) as Buffer[]
    const [, name] = (await command(source.url, 'CONFIG', 'GET', 'dbfilename')) as Buffer[]
    writeFileSync(join(directory, 'dump.rdb'), readFileSync(join(String(folder), String(name))))
    mkdirSync(join(directory, 'appendonlydir'))
    writeFileSync(join(directory, 'appendonlydir', 'a.aof.1.incr.aof'), '*1\r\n$4\r\nPING\r\n')
    writeFileSync(join(directory, 'appendonlydir', 'a.aof.manifest'), 'file a.aof.1.incr.aof seq 1 type i\n')
  })

  it.each(SNIPPETS)('runs: $name, $number', async ({ folder, code }) => {
    expect(code.split('\n').length).toBeLessThan(30)
    const real = code
      .replaceAll('redis://localhost:6379', source.url)
      .replaceAll('redis://localhost:6380', target.url)
      .replaceAll('./dump.rdb', join(directory, 'dump.rdb'))
      .replaceAll('./appendonlydir', join(directory, 'appendonlydir'))
    // Within the package, from where the others are found.
    const file = join(folder, `.readme-${process.pid}.mjs`)
    writeFileSync(file, real)
    stops.push(async () => rmSync(file, { force: true }))
    const child = spawn(process.execPath, ['--no-warnings', file], {
      cwd: folder,
      env: {
        ...process.env,
        XDG_DATA_HOME: directory,
        FERRITE_MIGRATE_BIN: join(ROOT, 'apps/ferrite-migrate/bin/run.js'),
      },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        said += data.toString('utf8')
      })
    child.stdin.end()
    const exit = await new Promise<number | null>((done) => child.once('close', done))
    expect([exit, said]).toEqual([0, expect.stringMatching(/\S/)])
  })
})
