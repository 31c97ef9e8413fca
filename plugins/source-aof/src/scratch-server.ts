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
    const lines: string[] = []
    const child = spawn(
      '/bin/sh',
      [
        '-c',
        ENDS_WITH_US,
        'sh',
        program,
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
        '--protected-mode',
        'yes',
        ...NO_DATA.flatMap((name) => ['--rename-command', name, '']),
      ],
      // Nothing of ours: no password, no setting that another program would read.
      { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH ?? '', LANG: 'C' }, cwd: directory },
    )
    child.on('error', () => undefined)
    child.stdin.on('error', () => undefined)
    let slowAt: number | null = null
    const keep = (data: Buffer): void => {
      if (/Slow script detected/.test(data.toString('latin1'))) slowAt ??= performance.now()
      lines.push(data.toString('latin1'))
      if (lines.length > 20) lines.shift()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const endpoint = parseEndpoint(`redis+unix://${socket}`, { 'connect-timeout': STUCK_MS })
    const server = new ScratchServer(endpoint, child, () => lines.join(''))
    const gone = new AbortController()
    child.once('exit', () => gone.abort())
    try {
      const link = await retrying(
        () =>
          RedisLink.open(endpoint).catch((error: unknown) => {
            // While it loads it answers all the same; one that does not is busy with a script or command without end.
            const slow = slowAt !== null && performance.now() - slowAt > STUCK_MS - SLOW_MS
            throw slow || (error instanceof MigrateError && error.code === 'FM_CONNECT_TIMEOUT') ? stuck() : error
          }),
        { timeoutMs: STARTS_WITHIN_MS, signal: AbortSignal.any([gone.signal, signal]) },
      )
      try {
        await server.refuseErrors(link)
      } finally {
        link.close()
      }
      return server
    } catch (cause) {
      await server.stop()
      if (signal.aborted)
        throw new MigrateError('FM_INTERRUPTED', 'stopped while the state was rebuilt', 'Start again.')
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
    this.child.stdin?.end()
    await Promise.race([gone, sleep(5000, undefined, { ref: false })])
  }
}
