import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { errorFromTold, MigrateError } from '@ferrite-migrate/contracts'
import type { Plan } from '@ferrite-migrate/core'
import type { FromRun, RunTask, ToRun } from './run-message.js'

const MAIN = fileURLToPath(new URL('./run-main.js', import.meta.url))

/**
 * A migration in a process of its own: neither a crash of it nor its work reaches whoever began it, and a detached one goes on
 * without them.
 */
export class RunProcess {
  private readonly child: ChildProcess
  private readonly first = Promise.withResolvers<{ id: string } | { plan: Plan } | null>()
  private fault: MigrateError | null = null
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>

  constructor(task: RunTask) {
    this.child = fork(MAIN, [], {
      serialization: 'advanced',
      // Ctrl-C on the terminal of the service is the service's to handle.
      detached: true,
      // Through a pipe of our own: a run that outlives this process must not hold what belongs to whoever started that.
      stdio: ['ignore', 'ignore', task.detach ? 'ignore' : 'pipe', 'ipc'],
    })
    this.child.stderr?.pipe(process.stderr, { end: false })
    this.gone = this.listen()
    this.tell({ kind: 'run', task })
    if (task.detach) this.child.unref()
  }

  /** @throws MigrateError what refused it, or FM_RUN_LOST when the process died before it began */
  async began(): Promise<string> {
    const first = await this.first.promise
    if (first !== null && 'id' in first) return first.id
    throw this.fault ?? lost('it was over before it had begun')
  }

  /** @throws MigrateError as for `began` */
  async planned(): Promise<Plan> {
    const first = await this.first.promise
    if (first !== null && 'plan' in first) return first.plan
    throw this.fault ?? lost('it gave no plan')
  }

  /** It goes on by itself from now on. */
  detach(): void {
    this.tell({ kind: 'detach' })
    this.child.unref()
    this.child.channel?.unref()
    this.child.stderr?.destroy()
  }

  /** What was read is written, and its place kept. */
  stop(): void {
    this.child.kill('SIGTERM')
  }

  private listen(): Promise<void> {
    const { child } = this
    const gone = Promise.withResolvers<void>()
    child.on('message', (message: FromRun) => {
      if (message.kind === 'began') this.first.resolve({ id: message.id })
      else if (message.kind === 'planned') this.first.resolve({ plan: message.plan })
      else {
        this.fault = message.fault && errorFromTold(message.fault)
        this.first.resolve(null)
      }
    })
    child.on('error', (error) => {
      this.fault ??= lost(`it could not be started: ${error.message}`)
      this.first.resolve(null)
      gone.resolve()
    })
    child.on('exit', (code, signal) => {
      if (code !== 0) this.fault ??= lost(`it ended (${signal ?? code})`)
      this.first.resolve(null)
      gone.resolve()
    })
    return gone.promise
  }

  private tell(message: ToRun): void {
    if (this.child.connected) this.child.send(message, () => undefined)
  }
}

function lost(why: string): MigrateError {
  return new MigrateError(
    'FM_RUN_LOST',
    `the process of the migration was lost: ${why}`,
    'Where it had begun, go on with it by its id; where it happens again, look for what ends processes here (memory).',
    { retryable: true },
  )
}
