import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type Endpoint, parseEndpoint, RedisLink, readInfo, retrying } from '@ferrite-migrate/redis'

const PROGRAMS = ['redis-server', 'valkey-server']
const STARTS_WITHIN_MS = 10 * 60_000
/** What the server loads: while it does, it ends no key, as the one that wrote the file did not. */
export const SCRATCH_FILE = 'scratch.aof'

/**
 * A server of our own, on a socket in a directory of our own, in which a state is rebuilt by those whose commands they
 * are. It holds the whole data set in memory and ends with `stop`.
 */
export class ScratchServer {
  readonly endpoint: Endpoint
  private readonly child: ChildProcess
  private readonly output: () => string

  private constructor(endpoint: Endpoint, child: ChildProcess, output: () => string) {
    this.endpoint = endpoint
    this.child = child
    this.output = output
  }

  /**
   * @param directory that holds `SCRATCH_FILE`, an append-only file (with or without an RDB at its start), to load
   * @throws MigrateError FM_AOF_SCRATCH when there is no such program, or it cannot load the file
   */
  static async start(program: string | undefined, directory: string): Promise<ScratchServer> {
    for (const name of program === undefined ? PROGRAMS : [program]) {
      const server = await ScratchServer.launch(name, directory)
      if (server !== null) return server
    }
    throw new MigrateError(
      'FM_AOF_SCRATCH',
      `no ${program ?? PROGRAMS.join(' or ')} was found to rebuild the state in`,
      'Install one, or name it with --source-option scratch=/path/redis-server.',
    )
  }

  private static async launch(program: string, directory: string): Promise<ScratchServer | null> {
    const socket = join(directory, 'scratch.sock')
    const lines: string[] = []
    const child = spawn(
      program,
      [
        '--port',
        '0',
        '--unixsocket',
        socket,
        '--dir',
        directory,
        '--appendfilename',
        SCRATCH_FILE,
        '--save',
        '',
        '--appendonly',
        'yes',
        '--appendfsync',
        'no',
        '--auto-aof-rewrite-percentage',
        '0',
        '--databases',
        '256',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const missing = new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(true))
      child.once('spawn', () => resolve(false))
    })
    const keep = (data: Buffer): void => {
      lines.push(data.toString('latin1'))
      if (lines.length > 20) lines.shift()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    if (await missing) return null
    const endpoint = parseEndpoint(`redis+unix://${socket}`)
    const server = new ScratchServer(endpoint, child, () => lines.join(''))
    const gone = new AbortController()
    child.once('exit', () => gone.abort())
    try {
      const link = await retrying(() => RedisLink.open(endpoint), { timeoutMs: STARTS_WITHIN_MS, signal: gone.signal })
      try {
        await server.refuseErrors(link)
      } finally {
        link.close()
      }
      return server
    } catch (cause) {
      await server.stop()
      if (cause instanceof MigrateError && cause.code === 'FM_AOF_SCRATCH') throw cause
      throw new MigrateError(
        'FM_AOF_SCRATCH',
        `the server to rebuild the state in did not start: ${server.output().trim().split('\n').slice(-2).join(' ').slice(-300)}`,
        'Give one that is as new as the server that wrote the files: --source-option scratch=/path/redis-server.',
        { cause },
      )
    }
  }

  /** A command that fails while it is loaded does not keep a server from starting. */
  private async refuseErrors(link: RedisLink): Promise<void> {
    if (!(await readInfo(link, 'stats')).has('total_error_replies'))
      throw new MigrateError(
        'FM_AOF_SCRATCH',
        'the server to rebuild the state in does not count refused commands: it is older than Redis 6.2',
        'Give a newer one: --source-option scratch=/path/redis-server.',
      )
    const errors = [...(await readInfo(link, 'errorstats'))].filter(([name]) => name !== 'errorstat_LOADING')
    if (errors.length === 0) return
    const told = /CRITICAL[^\n]*/.exec(this.output())?.[0] ?? errors.map(([name]) => name).join(', ')
    throw new MigrateError(
      'FM_AOF_SCRATCH',
      `the server that rebuilds the state refused a command: ${told.slice(0, 200)}`,
      'Give one that is as new as the server that wrote the file: --source-option scratch=/path/redis-server.',
    )
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await Promise.race([gone, sleep(5000, undefined, { ref: false })])
  }
}
