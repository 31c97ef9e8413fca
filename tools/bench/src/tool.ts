import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Measured, processUse, runMeasured } from './measure.js'

/** The program of this checkout. */
export const BIN = resolve(import.meta.dirname, '..', '..', '..', 'apps', 'ferrite-migrate', 'bin', 'run.js')

const state = (): string[] => ['--state-dir', mkdtempSync(join(tmpdir(), 'fm-bench-'))]

/** `ferrite-migrate migrate` to its end. */
export function runTool(args: readonly string[], timeoutMs = 300_000): Promise<Measured> {
  return runMeasured(process.execPath, [BIN, 'migrate', ...args, ...state()], timeoutMs)
}

/** Any command to its end, measured. */
export function measureTool(args: readonly string[], timeoutMs = 300_000): Promise<Measured> {
  return runMeasured(process.execPath, [BIN, ...args], timeoutMs)
}

/** Any command to its end, or until `killWhen` says so: then it is killed. */
export async function runCommand(
  args: readonly string[],
  killWhen?: () => Promise<boolean>,
  bin = BIN,
): Promise<{ code: number | null; output: string; wallMs: number }> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (data: Buffer): void => {
    output = (output + data.toString('utf8')).slice(-20_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const over = new Promise<number | null>((done) => child.once('close', done))
  const timer = setTimeout(() => child.kill('SIGKILL'), 300_000)
  if (killWhen !== undefined) {
    while (child.exitCode === null && !(await killWhen())) await sleep(10)
    child.kill('SIGKILL')
  }
  const code = await over
  clearTimeout(timer)
  return { code, output, wallMs: performance.now() - startedAt }
}

/** Cuts the migration `bench` over; gives for how long writers were kept out, by the tool's own word, ms. */
export async function cutOver(state: string, more: readonly string[] = []): Promise<number> {
  const args = ['cutover', '--id', 'bench', '--max-lag', '10000', '--state-dir', state, ...more]
  const { code, output } = await runCommand(args)
  if (code !== 0) throw new Error(output)
  return Number(/kept out for (\d+) ms/.exec(output)?.[1])
}

/** `ferrite-migrate migrate --mode live` in the background, from the moment it is live. */
export class LiveTool {
  private readonly child: ChildProcess
  private output = ''

  private constructor(child: ChildProcess) {
    this.child = child
  }

  static async start(source: string, target: string, extra: readonly string[] = [], bin = BIN): Promise<LiveTool> {
    const child = spawn(
      process.execPath,
      [
        bin,
        'migrate',
        '-s',
        source,
        '-t',
        target,
        '-m',
        'live',
        ...extra,
        ...(extra.includes('--state-dir') ? [] : state()),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const tool = new LiveTool(child)
    await new Promise<void>((live, failed) => {
      const look = (data: Buffer): void => {
        tool.output = (tool.output + data.toString('utf8')).slice(-8000)
        if (tool.output.includes('LIVE_SYNC')) live()
      }
      child.stdout?.on('data', look)
      child.stderr?.on('data', look)
      child.once('exit', () => failed(new Error(tool.output)))
    })
    return tool
  }

  get use(): { cpuMs: number; rssMb: number } {
    return processUse(this.child.pid ?? 0)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGINT')
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 20_000)
    await gone
    clearTimeout(timer)
  }
}
