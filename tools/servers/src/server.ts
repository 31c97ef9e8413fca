import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.js'
import { ServerProcess } from './server-process.js'
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

/** A real server on loopback in a directory of its own. Stop it: nothing else ends it. */
export class TestServer {
  readonly port: number
  readonly directory: string
  readonly version: ServerVersion
  private readonly args: readonly string[]
  private readonly process: ServerProcess

  private constructor(version: ServerVersion, program: string, port: number, options: ServerOptions) {
    this.version = version
    this.port = port
    this.process = new ServerProcess(program, port)
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
    return this.process.pid
  }

  /** Starts the process (again), with the same port, directory and arguments. */
  async launch(): Promise<void> {
    if (this.version === 'ferrite') await this.process.launch(this.ferriteArgs(), this.directory)
    else await this.process.launch(this.redisArgs())
  }

  private redisArgs(): string[] {
    return [
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
    ].filter((word, i, all) => this.knows(word) && (i === 0 || this.knows(all[i - 1])))
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
    await this.process.end('SIGKILL')
  }

  /** Stops or continues the process, or ends it without waiting. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.process.signal(signal)
  }

  async stop(): Promise<void> {
    await this.process.end('SIGTERM')
    rmSync(this.directory, { recursive: true, force: true })
  }
}
