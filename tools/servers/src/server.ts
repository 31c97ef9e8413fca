import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { anyServer, findServer, type ServerVersion } from './versions.js'

export interface ServerOptions {
  /** Default: any that can be had, redis-server on PATH first. */
  readonly version?: ServerVersion
  /** Arguments of the server, such as ['--maxmemory', '10mb']. */
  readonly args?: readonly string[]
  readonly port?: number
  /** Keep data over a restart: append-only file. */
  readonly persistent?: boolean
}

/** A free TCP port on loopback. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}

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

/** A real server on loopback in a directory of its own. Stop it: nothing else ends it. */
export class TestServer {
  readonly port: number
  readonly directory: string
  readonly version: ServerVersion
  private readonly program: string
  private readonly args: readonly string[]
  private child: ChildProcess | null = null

  private constructor(version: ServerVersion, program: string, port: number, options: ServerOptions) {
    this.version = version
    this.program = program
    this.port = port
    this.directory = mkdtempSync(join(tmpdir(), 'fm-server-'))
    this.args = [
      ...(options.persistent ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']),
      ...(options.args ?? []),
    ]
  }

  /** @throws Error when the version cannot be had or does not start */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    const found = options.version === undefined ? await anyServer() : await findServer(options.version)
    if (!('program' in found)) throw new Error(`${found.version}: ${found.reason}`)
    for (let attempt = 0; ; attempt++) {
      const server = new TestServer(found.version, found.program, options.port ?? (await freePort()), options)
      try {
        await server.launch()
        return server
      } catch (error) {
        await server.stop()
        // Somebody may have taken the port between looking and starting.
        if (attempt >= 3 || options.port !== undefined) throw error
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** Starts the process (again), with the same port, directory and arguments. */
  async launch(): Promise<void> {
    const lines: string[] = []
    const child =
      this.version === 'ferrite'
        ? spawn(this.program, this.ferriteArgs(), { cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'] })
        : spawn(
            this.program,
            [
              '--port',
              String(this.port),
              '--bind',
              '127.0.0.1',
              '--dir',
              this.directory,
              '--save',
              '',
              '--repl-diskless-sync-delay',
              '0',
              '--enable-debug-command',
              'local',
              ...this.args,
            ].filter((word, i, all) => this.knows(word) && (i === 0 || this.knows(all[i - 1]))),
            { stdio: ['ignore', 'pipe', 'pipe'] },
          )
    this.child = child
    const keep = (data: Buffer): void => {
      lines.push(data.toString('latin1'))
      if (lines.length > 50) lines.shift()
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const gone = new Promise<false>((resolve) => child.once('exit', () => resolve(false)))
    if (!(await Promise.race([answersPing(this.port, 20_000), gone])))
      throw new Error(`${this.program} did not start: ${lines.join('').slice(-800)}`)
  }

  /** Options that this version does not have are left out. */
  private knows(word: string): boolean {
    return this.version !== '6.2' || word !== '--enable-debug-command'
  }

  private ferriteArgs(): string[] {
    const file = join(this.directory, 'ferrite.toml')
    writeFileSync(file, `[server]\nbind = "127.0.0.1"\nport = ${this.port}\n[metrics]\nenabled = false\n`)
    return ['--config', file]
  }

  /** kill -9, as a power loss would. */
  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }

  /** Stops or continues the process, or ends it without waiting. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.child?.kill(signal)
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM')
    rmSync(this.directory, { recursive: true, force: true })
  }

  private async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGCONT')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await gone
    clearTimeout(timer)
  }
}
