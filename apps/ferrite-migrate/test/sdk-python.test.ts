import { spawn, spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start } from './servers.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const PYTHON = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0

describe('the SDK for Python', () => {
  it.skipIf(!PYTHON)('passes its tests with real servers', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'EVAL', "for i = 1, 100 do redis.call('SET', 'user:' .. i, 'v' .. i) end", 0)
    await command(source.url, 'SET', 'temp:1', 'x')
    const child = spawn('python3', ['-W', 'error', '-m', 'unittest', 'discover', '-s', 'tests'], {
      cwd: resolve(ROOT, 'packages', 'sdk-python'),
      env: {
        ...process.env,
        PYTHONPATH: 'src',
        PYTHONDONTWRITEBYTECODE: '1',
        FERRITE_MIGRATE_BIN: resolve(ROOT, 'apps', 'ferrite-migrate', 'bin', 'run.js'),
        ...{ SOURCE_URL: source.url, TARGET_URL: target.url, STATE_DIR: stateDir() },
      },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        said += data.toString('utf8')
      })
    const exit = await new Promise<number | null>((done) => child.once('close', done))
    expect([exit, said]).toEqual([0, expect.stringMatching(/^OK$/m)])
    expect(said).not.toContain('skipped')
  })
})
