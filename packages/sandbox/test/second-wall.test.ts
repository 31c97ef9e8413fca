import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SandboxError, WorkerPool } from '@ferrite-migrate/sandbox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

interface Facts {
  readonly done: Readonly<Record<string, string | null>>
  readonly pid: number
  readonly environment: readonly string[]
  readonly argv: readonly string[]
}

const directory = mkdtempSync(join(tmpdir(), 'second-wall-'))
const secret = join(directory, 'secret.txt')
const written = join(directory, 'written')
const MODULE = new URL('./unsealed-worker.js', import.meta.url)
/** Starts a pool in a process that can be killed; prints the pid of the sandbox. */
const OWNER = `
import { WorkerPool } from '@ferrite-migrate/sandbox'
const pool = await WorkerPool.open({ module: new URL(${JSON.stringify(MODULE.href)}), data: {}, memoryBytes: 1 << 26, workers: 1,
  timeoutMs: 60000, interruptible: false, loadMs: 20000, logger: { log() {}, enabled() {} }, signal: new AbortController().signal })
console.log(pool.facts.pid)
await pool.run('loop')
`

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function open(timeoutMs = 2000): Promise<WorkerPool> {
  return WorkerPool.open({
    module: MODULE,
    data: { secret, written },
    memoryBytes: 1 << 26,
    workers: 1,
    timeoutMs,
    interruptible: false,
    loadMs: 20_000,
    logger: { log: () => undefined, enabled: () => false },
    signal: new AbortController().signal,
  })
}

describe('the process of a sandbox', () => {
  let pool: WorkerPool
  beforeAll(async () => {
    process.env.FM_SECOND_WALL = 'secret'
    writeFileSync(secret, 'secret')
    pool = await open()
  })
  afterAll(async () => {
    await pool.close()
    rmSync(directory, { recursive: true })
  })

  it('lets code that nothing holds back reach no file, process, addon or database', () => {
    const { done } = pool.facts as Facts
    expect(Object.keys(done)).toHaveLength(11)
    expect(Object.entries(done).filter(([, result]) => result !== null)).toEqual([])
    expect(existsSync(written)).toBe(false)
  })

  it('gets no environment and no arguments', () => {
    const { environment, argv } = pool.facts as Facts
    expect(environment).toEqual([])
    expect(argv.slice(2)).toEqual([])
  })

  it('is ended when it takes more memory than it may, and the next request has a new one', async () => {
    await expect(pool.run('memory')).rejects.toThrow(SandboxError)
    expect(await pool.run('again')).toBe('again')
  })

  it('is ended when it does not answer in time, and is gone then', async () => {
    const own = await open(200)
    const { pid } = own.facts as Facts
    await expect(own.run('loop')).rejects.toThrow(/longer than 200 ms/)
    while (isAlive(pid)) await sleep(20)
    await own.close()
  })

  it('does not outlive the tool', async () => {
    const owner: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
      cwd: new URL('.', import.meta.url),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const pid = Number(await new Promise((resolve) => owner.stdout?.once('data', resolve)))
    expect(isAlive(pid)).toBe(true)
    owner.kill('SIGKILL')
    while (isAlive(pid)) await sleep(20)
  })
})
