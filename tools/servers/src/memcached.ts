import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './ports.js'
import { Saslauthd } from './saslauthd.js'

const PROGRAM = process.env.MEMCACHED_BIN ?? 'memcached'

/** Why there is no Memcached here; null = there is one. */
export function memcachedMissing(): string | null {
  try {
    execFileSync(PROGRAM, ['-V'], { stdio: 'ignore' })
    return null
  } catch {
    return 'no memcached on PATH (apt-get install memcached)'
  }
}

/** A real Memcached on loopback. Stop it: nothing else ends it. */
export class TestMemcached {
  readonly port: number
  private readonly args: readonly string[]
  private readonly env: NodeJS.ProcessEnv
  private child: ChildProcess | null = null
  private readonly stops: (() => Promise<void>)[] = []

  private constructor(port: number, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.port = port
    this.args = args
    this.env = env
  }

  static async start(args: readonly string[] = []): Promise<TestMemcached> {
    const server = new TestMemcached(await freePort(), args)
    await server.launch()
    return server
  }

  /** One that speaks nothing but the binary protocol, to this user; null = this Memcached was built without SASL. */
  static async startSasl(user: string, password: string): Promise<TestMemcached | null> {
    if (!execFileSync(PROGRAM, ['-h'], { encoding: 'utf8' }).includes('--enable-sasl')) return null
    const directory = mkdtempSync(join(tmpdir(), 'fm-sasl-'))
    chmodSync(directory, 0o755)
    const path = join(directory, 'mux')
    writeFileSync(
      join(directory, 'memcached.conf'),
      `mech_list: plain\npwcheck_method: saslauthd\nsaslauthd_path: ${path}\n`,
    )
    const daemon = await Saslauthd.start(path, user, password)
    const server = new TestMemcached(await freePort(), ['-S'], { SASL_CONF_PATH: directory })
    server.stops.push(
      () => daemon.stop(),
      async () => rmSync(directory, { recursive: true }),
    )
    await server.launch()
    return server
  }

  get url(): string {
    return `memcached://127.0.0.1:${this.port}`
  }

  /** Starts the process (again), empty. */
  async launch(): Promise<void> {
    const root = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
    const child = spawn(PROGRAM, ['-p', String(this.port), '-U', '0', '-l', '127.0.0.1', ...root, ...this.args], {
      stdio: 'ignore',
      env: { ...process.env, ...this.env },
    })
    this.child = child
    const answers = this.args.includes('-S') ? () => this.accepts() : () => this.call('version').then(Boolean)
    for (let attempt = 0; attempt < 200; attempt++) {
      if (child.exitCode !== null) break
      if (await answers().catch(() => false)) return
      await sleep(25)
    }
    throw new Error(`${PROGRAM} did not start`)
  }

  private accepts(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', reject)
    })
  }

  /** Sends lines and gives everything that comes until an answer to a last `mn` (or, before 1.6, `version`). */
  call(...lines: (string | Buffer)[]): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = ''
      const socket = connect(this.port, '127.0.0.1', () => {
        for (const line of lines) {
          socket.write(line)
          socket.write('\r\n')
        }
        socket.write('mn\r\n')
      })
      socket.setTimeout(5000, () => socket.destroy(new Error('no answer')))
      socket.on('data', (data) => {
        text += data.toString('latin1')
        if (/(^|\n)(MN|ERROR|CLIENT_ERROR unauthenticated)\r\n$/.test(text)) {
          socket.end()
          resolve(text.replace(/(MN|ERROR)\r\n$/, ''))
        }
      })
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the connection was closed')))
    })
  }

  /** Stores an item. */
  async set(key: string, value: string | Buffer, flags = 0, exptime = 0): Promise<void> {
    const bytes = Buffer.from(value as string)
    await this.call(`set ${key} ${flags} ${exptime} ${bytes.length}`, bytes)
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.end('SIGKILL')
  }

  stop(): Promise<void> {
    return this.end('SIGTERM')
  }

  private async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill(signal)
    await gone
    for (const stop of this.stops.splice(0)) await stop()
  }
}
