import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface Measured {
  readonly wallMs: number
  /** CPU time of the process, user and system. */
  readonly cpuMs: number
  readonly rssMb: number
  readonly code: number
  readonly output: string
}

/** CPU and peak memory of a running process, from /proc; zeros where there is none. */
export function processUse(pid: number): { cpuMs: number; rssMb: number } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return {
      cpuMs: (Number(fields[11]) + Number(fields[12])) * 10,
      rssMb: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024,
    }
  } catch {
    return { cpuMs: 0, rssMb: 0 }
  }
}

/** Runs a program to its end and measures it. */
export function runMeasured(
  program: string,
  args: readonly string[],
  timeoutMs: number,
  cwd?: string,
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd })
    let output = ''
    let use = { cpuMs: 0, rssMb: 0 }
    const keep = (data: Buffer): void => {
      output = (output + data.toString('utf8')).slice(-20_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const sample = setInterval(() => {
      const now = processUse(child.pid ?? 0)
      if (now.cpuMs > 0) use = { cpuMs: now.cpuMs, rssMb: Math.max(use.rssMb, now.rssMb) }
    }, 20)
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.once('error', reject)
    child.once('close', (code) => {
      clearInterval(sample)
      clearTimeout(timer)
      resolve({ wallMs: performance.now() - startedAt, ...use, code: code ?? -1, output })
    })
  })
}

/** Runs programs in turn, round by round, so that a machine whose speed drifts is as fast for one as for the other. */
export async function inTurn(rounds: number, programs: readonly (() => Promise<Measured>)[]): Promise<Measured[][]> {
  const runs: Measured[][] = programs.map(() => [])
  for (let round = 0; round < rounds; round++)
    for (const [i, program] of programs.entries()) runs[i].push(await program())
  return runs
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The value below which this share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
