import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type Endpoint, parseEndpoint, RedisLink, readInfo, retrying } from '@ferrite-migrate/redis'

const PROGRAMS = ['redis-server', 'valkey-server']
const STARTS_WITHIN_MS = 10 * 60_000
/** A server that loads answers in between; after so long without an answer it is stuck in one command. */
const STUCK_MS = 8000
/** A server tells of a script that runs for so long (busy-reply-threshold), and answers again from then on. */
const SLOW_MS = 5000
/**
 * Runs the program and ends it when our end of the pipe is closed, which happens however we end. The watcher is told when the
 * program ends first.
 */
const ENDS_WITH_US = `exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -9 $server; } >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $server
code=$?
kill $watcher 2>/dev/null
exit $code`
/** Pieces of its output that are kept. */
const SAID = 20
/** Commands that are no data: a file from elsewhere must not run them with our rights, nor a script in it. */
const NO_DATA =
  'MODULE MIGRATE REPLICAOF SLAVEOF CONFIG DEBUG SHUTDOWN SAVE BGSAVE BGREWRITEAOF CLUSTER FAILOVER SYNC PSYNC ACL MONITOR'.split(
    ' ',
  )

/** The path of a program that is there; null = it is not. */
function found(program: string): string | null {
  if (program.includes('/')) return existsSync(program) ? resolve(program) : null
  const folder = (process.env.PATH ?? '').split(delimiter).find((one) => existsSync(join(one, program)))
  return folder === undefined ? null : join(folder, program)
}

function stuck(): MigrateError {
  return new MigrateError(
    'FM_AOF_SCRATCH',
    `the server that rebuilds the state has not answered for ${STUCK_MS / 1000} s: a command or script of the file does not end`,
    'Look for EVAL in the file (analyze-aof); an append-only file of Redis 7 or newer holds none.',
  )
}

/** What the server loads: while it does, it ends no key, as the one that wrote the file did not. */
export const SCRATCH_FILE = 'scratch.aof'

/** It listens on its socket alone, loads its file and never writes that anew, and knows no command that reaches out of it. */
function settings(socket: string, directory: string): string[] {
  const named: Readonly<Record<string, string>> = {
    port: '0',
    unixsocket: socket,
    dir: directory,
    appendfilename: SCRATCH_FILE,
    save: '',
    appendonly: 'yes',
    appendfsync: 'no',
    'auto-aof-rewrite-percentage': '0',
    databases: '256',
    'protected-mode': 'yes',
  }
  return [
    ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, value]),
    ...NO_DATA.flatMap((name) => ['--rename-command', name, '']),
  ]
}

/**
 * A server of our own, on a socket in a directory of our own, in which a state is rebuilt by those whose commands they
 * are. It holds the whole data set in memory and ends with `stop`.
 */
export class ScratchServer {
  readonly endpoint: Endpoint
  private readonly child: ChildProcess
  /** The last of what it said. */
  private readonly said: string[] = []
  /** When it first told of a script that runs for long, ms. */
  private slowAt: number | null = null

  private constructor(socket: string, child: ChildProcess) {
    this.endpoint = parseEndpoint(`redis+unix://${socket}`, { 'connect-timeout': STUCK_MS })
    this.child = child
    child.on('error', () => undefined)
    child.stdin?.on('error', () => undefined)
    child.stdout?.on('data', (data: Buffer) => this.keep(data))
    child.stderr?.on('data', (data: Buffer) => this.keep(data))
  }

  /**
   * @param directory that holds `SCRATCH_FILE`, an append-only file (with or without an RDB at its start), to load
   * @throws MigrateError FM_AOF_SCRATCH when there is no such program, or it cannot load the file
   */
  static async start(program: string | undefined, directory: string, signal: AbortSignal): Promise<ScratchServer> {
    const path = (program === undefined ? PROGRAMS : [program]).map(found).find((one) => one !== null)
    if (path !== undefined && path !== null) return ScratchServer.launch(path, directory, signal)
    throw new MigrateError(
      'FM_AOF_SCRATCH',
      `no ${program ?? PROGRAMS.join(' or ')} was found to rebuild the state in`,
      'Install one, or name it with --source-option scratch=/path/redis-server.',
    )
  }

  private static async launch(program: string, directory: string, signal: AbortSignal): Promise<ScratchServer> {
    const socket = join(directory, 'scratch.sock')
    const child = spawn('/bin/sh', ['-c', ENDS_WITH_US, 'sh', program, ...settings(socket, directory)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Nothing of ours: no password, no setting that another program would read.
      env: { PATH: process.env.PATH ?? '', LANG: 'C' },
      cwd: directory,
    })
    const server = new ScratchServer(socket, child)
    try {
      await server.load(signal)
      return server
    } catch (cause) {
      await server.stop()
      throw server.notStarted(cause, signal)
    }
  }

  private keep(data: Buffer): void {
    const text = data.toString('latin1')
    if (/Slow script detected/.test(text)) this.slowAt ??= performance.now()
    this.said.push(text)
    if (this.said.length > SAID) this.said.shift()
  }

  private get output(): string {
    return this.said.join('')
  }

  /** Resolves when it has loaded its file without an error. */
  private async load(signal: AbortSignal): Promise<void> {
    const gone = new AbortController()
    this.child.once('exit', () => gone.abort())
    const link = await retrying(() => this.connect(), {
      timeoutMs: STARTS_WITHIN_MS,
      signal: AbortSignal.any([gone.signal, signal]),
    })
    try {
      await this.refuseErrors(link)
    } finally {
      link.close()
    }
  }

  /** While it loads it answers all the same; one that does not is busy with a script or command without end. */
  private async connect(): Promise<RedisLink> {
    try {
      return await RedisLink.open(this.endpoint)
    } catch (error) {
      const slow = this.slowAt !== null && performance.now() - this.slowAt > STUCK_MS - SLOW_MS
      throw slow || (error instanceof MigrateError && error.code === 'FM_CONNECT_TIMEOUT') ? stuck() : error
    }
  }

  private notStarted(cause: unknown, signal: AbortSignal): MigrateError {
    if (signal.aborted) return new MigrateError('FM_INTERRUPTED', 'stopped while the state was rebuilt', 'Start again.')
    if (cause instanceof MigrateError && cause.code === 'FM_AOF_SCRATCH') return cause
    return new MigrateError(
      'FM_AOF_SCRATCH',
      `the server to rebuild the state in did not start: ${this.output.trim().split('\n').slice(-2).join(' ').slice(-300)}`,
      'Give one that is as new as the server that wrote the files: --source-option scratch=/path/redis-server.',
      { cause },
    )
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
    const told = /CRITICAL[^\n]*/.exec(this.output)?.[0] ?? errors.map(([name]) => name).join(', ')
    throw new MigrateError(
      'FM_AOF_SCRATCH',
      `the server that rebuilds the state refused a command: ${told.slice(0, 200)}`,
      'Give one that is as new as the server that wrote the file: --source-option scratch=/path/redis-server.',
    )
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.stdin?.end()
    await Promise.race([gone, sleep(5000, undefined, { ref: false })])
  }
}
