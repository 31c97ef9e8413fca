import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const START_MS = 20_000
const STOP_MS = 5000
const KEPT_LINES = 50

/** Asks PING until somebody answers PONG or an error that shows life. */
export async function answersPing(port: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (Date.now() < deadline) {
    const alive = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('*1\r\n$4\r\nPING\r\n'))
      socket.setTimeout(500, () => socket.destroy())
      socket.once('data', (data) => {
        resolve(/^(\+PONG|-NOAUTH|-NOPERM)/.test(data.toString('latin1')))
        socket.destroy()
      })
      socket.once('error', () => resolve(false))
      socket.once('close', () => resolve(false))
    })
    if (alive) return true
    await sleep(25)
  }
  return false
}

/** A program that serves a port of loopback. End it: nothing else does. */
export class ServerProcess {
  readonly program: string
  readonly port: number
  private child: ChildProcess | null = null

  constructor(program: string, port: number) {
    this.program = program
    this.port = port
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** Starts the program, (again) when it was ended. @throws Error with its last lines when it does not answer */
  async launch(args: readonly string[], directory?: string): Promise<void> {
    const lines: string[] = []
    const child = spawn(this.program, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    const keep = (data: Buffer): void => {
      lines.push(data.toString('latin1'))
      if (lines.length > KEPT_LINES) lines.shift()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const gone = new Promise<false>((resolve) => child.once('exit', () => resolve(false)))
    if (!(await Promise.race([answersPing(this.port, START_MS), gone])))
      throw new Error(`${this.program} did not start: ${lines.join('').slice(-800)}`)
  }

  /** Stops or continues the process, or ends it without waiting. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.child?.kill(signal)
  }

  /** Resolves when it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGCONT')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await gone
    clearTimeout(timer)
  }
}
