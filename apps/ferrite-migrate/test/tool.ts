import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const BIN = resolve(import.meta.dirname, '..', 'bin', 'run.js')

/** The tool as a process of its own, so that it can be killed. */
export class Tool {
  readonly child: ChildProcess
  output = ''
  readonly over: Promise<number | null>

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: Buffer) {
    this.child = spawn(process.execPath, [BIN, ...args], {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.child.stdin?.end(input)
    const keep = (data: Buffer): void => {
      this.output = (this.output + data.toString('utf8')).slice(-20_000)
    }
    this.child.stdout?.on('data', keep)
    this.child.stderr?.on('data', keep)
    this.over = new Promise((done) => this.child.once('exit', done))
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.over
  }

  /** Waits until the output says this. */
  async says(text: string | RegExp, timeoutMs = 90_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!(typeof text === 'string' ? this.output.includes(text) : text.test(this.output))) {
      if (this.child.exitCode !== null || Date.now() > deadline) throw new Error(`never said ${text}: ${this.output}`)
      await sleep(20)
    }
  }
}

/** Runs a command to its end. */
export async function cli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; output: string }> {
  const tool = new Tool(args, env)
  const code = await Promise.race([tool.over, sleep(150_000, -1)])
  if (code === -1) await tool.kill()
  return { code, output: tool.output }
}
