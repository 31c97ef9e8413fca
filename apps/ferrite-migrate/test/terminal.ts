import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const BIN = resolve(import.meta.dirname, '..', 'bin', 'run.js')

export const KEY = { enter: '\r', down: '\x1b[B', space: ' ', interrupt: '\x03' } as const

/** Why no terminal can be had here; null = one can. */
export function terminalMissing(): string | null {
  try {
    execFileSync('script', ['--version'], { stdio: 'ignore' })
    return null
  } catch {
    return 'no script(1) of util-linux, which makes a terminal'
  }
}

/** The tool in a real terminal of 80 columns (a pty made by script(1)), without colour. */
export class Terminal {
  private readonly child: ChildProcess
  /** Everything that came, without the codes that move and colour. */
  text = ''
  readonly over: Promise<number | null>

  constructor(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
    const words = [process.execPath, BIN, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
    this.child = spawn('script', ['-qfec', `stty cols 80 rows 50; exec ${words.join(' ')}`, '/dev/null'], {
      cwd,
      env: { ...process.env, NO_COLOR: '1', TERM: 'xterm', ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.child.stdout?.on('data', (data: Buffer) => {
      this.text += data
        .toString('utf8')
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
        .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
        .replaceAll('\r', '')
    })
    this.over = new Promise((done) => this.child.once('exit', done))
  }

  /** Waits until this is shown after everything that was waited for before. */
  async shows(text: string, timeoutMs = 90_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!this.text.slice(this.seen).includes(text)) {
      if (Date.now() > deadline || this.child.exitCode !== null)
        throw new Error(`never showed "${text}" after: ${this.text.slice(-1500)}`)
      await sleep(20)
    }
    this.seen = this.text.indexOf(text, this.seen) + text.length
  }

  private seen = 0

  async press(...keys: string[]): Promise<void> {
    for (const key of keys) {
      await sleep(60)
      this.child.stdin?.write(key)
    }
  }

  /** Waits for a question and answers it. */
  async answer(question: string, ...keys: string[]): Promise<void> {
    await this.shows(question)
    await sleep(60)
    await this.press(...keys)
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.over
  }
}
