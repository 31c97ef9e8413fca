import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { KINDS, LANGUAGES } from 'create-ferrite-migrate-plugin'
import { afterEach, describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const CREATE = join(ROOT, 'packages', 'create-plugin', 'bin', 'create.js')
const PROGRAM = join(ROOT, 'apps', 'ferrite-migrate', 'bin', 'run.js')

let directory: string
const make = (): string => {
  directory = mkdtempSync(join(tmpdir(), 'fm-create-'))
  return directory
}
afterEach(() => rmSync(directory, { recursive: true, force: true }))

async function run(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<{ code: number | null; output: string }> {
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...env } = process.env
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, PATH: `${join(ROOT, 'node_modules', '.bin')}:${env.PATH}`, XDG_DATA_HOME: join(directory, 'data') },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString('utf8')
    })
  return { code: await new Promise<number | null>((done) => child.once('close', done)), output }
}

describe('a plugin that was made', () => {
  const cases = KINDS.flatMap((kind) => LANGUAGES.map((language) => ({ kind, language })))
  it.each(cases)('builds, and passes the kit: $kind, $language', async ({ kind, language }) => {
    const folder = join(make(), 'ferrite-migrate-mydb')
    const flags = ['--kind', kind, '--language', language, '--yes']
    const made = await run(process.execPath, [CREATE, folder, ...flags], directory)
    expect(made).toEqual({ code: 0, output: expect.stringContaining('Made ferrite-migrate-mydb') })
    // What npm would install.
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const tested = await run('npm', ['test'], folder)
    expect(tested).toEqual({ code: 0, output: expect.stringMatching(/pass \d+[\s\S]*fail 0/) })
    if (kind === 'transform') return
    // And runs, as its page says.
    const lines = join(directory, 'lines.txt')
    writeFileSync(lines, 'a\t1\n')
    const ends =
      kind === 'source'
        ? ['-s', `mydb://${lines}`, '-t', 'redis://127.0.0.1:1']
        : ['-s', 'redis://127.0.0.1:1', '-t', 'mydb://x']
    const doctor = await run(process.execPath, [PROGRAM, 'doctor', ...ends, '--plugin', '.'], folder)
    expect(doctor.output).toMatch(kind === 'source' ? /file of lines/ : /TARGET: mydb:[^❌]*✅/)
  })
})

describe('what cannot be made', () => {
  it('is refused in a line, and nothing is written', async () => {
    const folder = join(make(), 'here')
    mkdirSync(folder)
    writeFileSync(join(folder, 'mine.txt'), 'mine')
    for (const [args, message] of [
      [[folder, '--scheme', 'mydb'], 'is not empty'],
      [['there', '--scheme', 'redis'], 'redis is taken'],
      [['there', '--scheme', 'Not one'], 'Lower case letters'],
      [['there', '--name', 'No Name'], 'A name of an npm package'],
      [['there', '--kind', 'sink'], '--kind must be one of source, target, transform'],
      [['there', '--knd', 'source'], "Unknown option '--knd'"],
    ] as const) {
      const refused = await run(process.execPath, [CREATE, ...args, '--yes'], directory)
      expect(refused).toEqual({ code: 2, output: expect.stringContaining(message) })
    }
    expect(readFileSync(join(folder, 'mine.txt'), 'utf8')).toBe('mine')
    expect(existsSync(join(directory, 'there'))).toBe(false)
  })
})
