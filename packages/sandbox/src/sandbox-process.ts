import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FromHost, ToHost } from './host-message.js'
import { readableCode } from './readable-code.js'

export interface SandboxProcessOptions {
  /** The module that the worker in it runs. */
  readonly module: URL
  /** Given to it as workerData, beside `interrupt`. */
  readonly data: Readonly<Record<string, unknown>>
  /** Bytes that the code in it may take. */
  readonly memoryBytes: number
  readonly onMessage: (message: Exclude<FromHost, { kind: 'ended' }>) => void
  /** Called once, when it is gone without having been ended. */
  readonly onGone: (why: string) => void
}

const HOST = fileURLToPath(new URL('./host.js', import.meta.url))
/** Heap of the worker outside its WebAssembly memory, MiB. */
const HEAP_MB = 512
/** What Node and an engine take beside what the code may take, bytes. */
const ENGINE_BYTES = 768 << 20
/** Bytes kept of what a process says when it cannot start. */
const SAID_BYTES = 2000

/**
 * A process that may read the code that is installed, and nothing else: no other file, no writing, no process, no addon (Node's
 * permission model). No environment, no arguments that tell of this machine. In it a worker thread runs the module.
 */
export class SandboxProcess {
  private readonly child: ChildProcess
  private ended = false

  constructor({ module, data, memoryBytes, onMessage, onGone }: SandboxProcessOptions) {
    const rights = [
      '--permission',
      ...readableCode(module).map((directory) => `--allow-fs-read=${directory}`),
      '--no-warnings',
      '--no-addons',
      // It would open files past the permissions.
      '--no-experimental-sqlite',
    ]
    // The first thread alone may start a thread: another one starts threads that no permission holds.
    const child = spawn(
      process.execPath,
      [...rights, '--allow-worker', '--disallow-code-generation-from-strings', HOST],
      // Where it starts is readable to a thread of it, whatever the permissions say: here is code anyway.
      { env: {}, cwd: dirname(HOST), stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced' },
    )
    this.child = child
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < SAID_BYTES) said += text.slice(0, SAID_BYTES)
    })
    const gone = (why: string): void => {
      if (this.ended) return
      this.ended = true
      onGone(why)
    }
    child.on('message', (message: FromHost) => {
      if (message.kind === 'ended') gone(message.message)
      else if (!this.ended) onMessage(message)
    })
    child.on('error', (error) => gone(`its process could not be started: ${error.message}`))
    child.on('exit', (code, signal) => {
      const last = said.match(/^\w*Error.*$/m)?.[0]
      gone(`its process ended (${signal ?? code})${last === undefined ? '' : `: ${last}`}`)
    })
    // Nobody waits for it at the end of the program; it ends when its channel does.
    child.unref()
    child.channel?.unref()
    if (child.stderr instanceof Socket) child.stderr.unref()
    this.tell({
      kind: 'start',
      module: module.href,
      rights,
      data,
      heapMb: HEAP_MB,
      residentBytes: memoryBytes + ENGINE_BYTES,
    })
  }

  ask(request: unknown): void {
    this.tell({ kind: 'request', request })
  }

  /** Tells the code to stop. */
  interrupt(signal: number): void {
    this.tell({ kind: 'interrupt', signal })
  }

  /** Ends it, whatever it does, and waits until it is gone. */
  async end(): Promise<void> {
    this.ended = true
    const { child } = this
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.ref()
    child.kill('SIGKILL')
    await gone
  }

  private tell(message: ToHost): void {
    // That it is gone is told by its end.
    if (this.child.connected) this.child.send(message, () => undefined)
  }
}
