import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './server.js'

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
  private child: ChildProcess | null = null

  private constructor(port: number, args: readonly string[]) {
    this.port = port
    this.args = args
  }

  static async start(args: readonly string[] = []): Promise<TestMemcached> {
    const server = new TestMemcached(await freePort(), args)
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
    })
    this.child = child
    for (let attempt = 0; attempt < 200; attempt++) {
      if (child.exitCode !== null) break
      if (await this.call('version').then(Boolean, () => false)) return
      await sleep(25)
    }
    throw new Error(`${PROGRAM} did not start`)
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
  }
}
