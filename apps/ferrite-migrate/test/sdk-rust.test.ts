import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start } from './servers.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const CRATE = resolve(ROOT, 'packages', 'sdk-rust')
const BIN = resolve(ROOT, 'apps', 'ferrite-migrate', 'bin', 'run.js')

/** The crates that it stands on have to be here, or to be had. */
function isBuildable(): boolean {
  return spawnSync('cargo', ['fetch', '--locked'], { cwd: CRATE, timeout: 60_000 }).status === 0
}

function cargo(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<[number | null, string]> {
  const child = spawn('cargo', args, { cwd, env: { ...process.env, FERRITE_MIGRATE_BIN: BIN, ...env } })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      said += data.toString('utf8')
    })
  return new Promise((done) => child.once('close', (code) => done([code, said])))
}

/** The product page's example in a project of its own, with the hosts of a test. */
function pageProject(source: string, target: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'fm-rust-'))
  const text = readFileSync(join(CRATE, 'examples', 'page.rs'), 'utf8')
  mkdirSync(join(folder, 'src'))
  writeFileSync(
    join(folder, 'src', 'main.rs'),
    text.replace('redis://source:6379', source).replace('ferrite://target:6379', target),
  )
  writeFileSync(
    join(folder, 'Cargo.toml'),
    `[package]\nname = "page"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nferrite_migrate = { path = ${JSON.stringify(CRATE)} }\ntokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }\n`,
  )
  copyFileSync(join(CRATE, 'Cargo.lock'), join(folder, 'Cargo.lock'))
  return folder
}

describe.skipIf(!isBuildable())('the SDK for Rust', () => {
  it('passes its tests with real servers, and the example of the page runs', { timeout: 400_000 }, async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'EVAL', "for i = 1, 100 do redis.call('SET', 'user:' .. i, 'v' .. i) end", 0)
    await command(source.url, 'SET', 'temp:1', 'x')
    const ends = { SOURCE_URL: source.url, TARGET_URL: target.url, STATE_DIR: stateDir() }
    // One at a time: they share both servers.
    const [exit, said] = await cargo(['test', '--', '--test-threads', '1'], CRATE, ends)
    expect([exit, said]).toEqual([0, expect.stringMatching(/replays_the_transcripts \.\.\. ok/)])
    await command(target.url, 'FLUSHALL')
    const page = await cargo(['run', '--quiet', '--offline'], pageProject(source.url, target.url), {
      CARGO_TARGET_DIR: join(CRATE, 'target'),
      FERRITE_MIGRATE_STATE_DIR: stateDir(),
    })
    expect(page).toEqual([0, expect.stringContaining('Verified: true')])
    expect(Number(await command(target.url, 'DBSIZE'))).toBe(100)
  })
})
