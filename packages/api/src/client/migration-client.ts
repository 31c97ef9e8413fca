import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { errorFromTold, MigrateError, type ToldError } from '@ferrite-migrate/contracts'
import { isJSONRPCResponse, JSONRPCClient, JSONRPCErrorException } from 'json-rpc-2.0'
import type { Answers } from '../protocol/answers.js'
import type { Method, Params } from '../protocol/params.js'
import type { Notices } from '../protocol/results.js'
import { PROTOCOL_VERSION } from '../protocol/version.js'
import { lines } from '../rpc/lines.js'
import { findTool } from './find-tool.js'

export interface ClientOptions {
  /** The program; default: `FERRITE_MIGRATE_BIN`, else `ferrite-migrate` on PATH. */
  readonly program?: string
  /** What stands before `rpc` on its command line. */
  readonly programArguments?: readonly string[]
  readonly stateDir?: string
  /** Address of a queue whose workers run what is begun here, on as many machines as there are. */
  readonly queue?: string
  readonly environment?: NodeJS.ProcessEnv
  /** Asked for in `initialize`; default: this package's. */
  readonly protocolVersion?: number
}

type NoticeEvents = { [N in keyof Notices]: [Notices[N]] }

/**
 * Drives ferrite-migrate from another program: starts it as `ferrite-migrate rpc` and speaks to it. Events: `progress`, `phase`, `note`,
 * `step`. Migrations that were not detached end gracefully with `close`, and with the process that holds the client.
 */
export class MigrationClient extends EventEmitter<NoticeEvents> {
  private readonly child: ChildProcessWithoutNullStreams
  private readonly rpc: JSONRPCClient
  private readonly gone: Promise<void>
  private ended: MigrateError | null = null
  private said = ''

  private constructor(child: ChildProcessWithoutNullStreams) {
    super()
    this.child = child
    this.rpc = new JSONRPCClient((message) => {
      if (this.ended !== null) throw this.ended
      child.stdin.write(`${JSON.stringify(message)}\n`)
    })
    child.stdin.on('error', () => undefined)
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.said = (this.said + text).slice(-2000)
    })
    const exited = new Promise<void>((resolve) => {
      child.on('error', (error) => {
        this.end(`it could not be started: ${error.message}`)
        resolve()
      })
      child.on('exit', (code, signal) => {
        this.end(`it ended (${signal ?? code})`)
        resolve()
      })
    })
    this.gone = exited
    void this.listen().catch((error: Error) => this.end(error.message))
  }

  /** @throws MigrateError FM_TOOL_MISSING, FM_TOOL_LOST, FM_PROTOCOL_VERSION */
  static async open(options: ClientOptions = {}): Promise<MigrationClient> {
    const { programArguments = [], stateDir, queue, protocolVersion = PROTOCOL_VERSION } = options
    const given = options.environment ?? process.env
    // It may hold a password, and everybody sees command lines.
    const environment = queue === undefined ? given : { ...given, FERRITE_MIGRATE_QUEUE: queue }
    const program = options.program ?? findTool(environment)
    const place = stateDir === undefined ? [] : ['--state-dir', stateDir]
    const child = spawn(program, [...programArguments, 'rpc', ...place], { env: environment, stdio: 'pipe' })
    const client = new MigrationClient(child)
    try {
      await client.call('initialize', { protocolVersion })
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  /** Process id of the tool; undefined = it could not be started. */
  get pid(): number | undefined {
    return this.child.pid
  }

  /**
   * Calls a method; docs/protocol.md lists all.
   * @throws MigrateError what the tool answered, FM_PROTOCOL for a mistake in the call, FM_TOOL_LOST when the tool is gone
   */
  async call<M extends Method>(method: M, params: Params<M>): Promise<Answers[M]> {
    return (await this.ask(method, params)) as Answers[M]
  }

  /** The same for whatever has no type. */
  async ask(method: string, params: unknown): Promise<unknown> {
    if (this.ended !== null) throw this.ended
    try {
      return await this.rpc.request(method, params, undefined)
    } catch (error) {
      throw this.ended ?? errorOf(error)
    }
  }

  /** Ends the tool, and with it gracefully what was not detached. */
  async close(): Promise<void> {
    this.child.stdin.end()
    await this.gone
  }

  private async listen(): Promise<void> {
    for await (const line of lines(this.child.stdout)) {
      const message: unknown = parsed(line)
      if (isJSONRPCResponse(message)) this.rpc.receive(message)
      else if (isNotice(message)) this.tell(message)
      else if (isFault(message)) this.end(`it did not understand what was sent: ${message.error.message}`)
      else this.end('it said something that is not of the protocol')
    }
  }

  /** What a listener throws is its own: it reaches whoever handles what nobody catches, and the tool is read on. */
  private tell({ method, params }: { method: keyof Notices; params: object }): void {
    try {
      this.emit(method, params as never)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }

  private end(why: string): void {
    if (this.ended !== null) return
    const last = this.said.trim().split('\n').at(-1) ?? ''
    this.ended = new MigrateError(
      'FM_TOOL_LOST',
      `ferrite-migrate is gone: ${why}${last === '' ? '' : `: ${last.slice(0, 200)}`}`,
      'A migration that it ran can be gone on with by its id; start it again, and look why it ended.',
      { retryable: true },
    )
    this.rpc.rejectAllPendingRequests(this.ended.message)
  }
}

const NOTICES: readonly string[] = ['progress', 'phase', 'note', 'step'] satisfies (keyof Notices)[]

function isNotice(message: unknown): message is { method: keyof Notices; params: object } {
  if (typeof message !== 'object' || message === null || !('method' in message)) return false
  return typeof message.method === 'string' && NOTICES.includes(message.method)
}

function isFault(message: unknown): message is { error: { message: string } } {
  return typeof message === 'object' && message !== null && 'error' in message
}

/** Undefined where it is no JSON, as half a line of a tool that was killed. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function errorOf(error: unknown): Error {
  if (!(error instanceof JSONRPCErrorException)) return error as Error
  if (isTold(error.data)) return errorFromTold(error.data)
  return new MigrateError(
    'FM_PROTOCOL',
    `the call was refused (${error.code}): ${error.message}`,
    'Client and tool may be of different versions; docs/protocol.md lists the methods and what they take.',
  )
}

function isTold(data: unknown): data is ToldError {
  return typeof data === 'object' && data !== null && 'code' in data && 'message' in data && 'hint' in data
}
