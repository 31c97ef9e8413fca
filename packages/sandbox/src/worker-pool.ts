import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import type { FromHost } from './host-message.js'
import { SandboxError } from './sandbox-error.js'
import { SandboxProcess } from './sandbox-process.js'

export interface WorkerPoolOptions {
  /** The module that a worker runs; it calls `serve`. */
  readonly module: URL
  /** Given to it as workerData, beside `interrupt`. */
  readonly data: Readonly<Record<string, unknown>>
  /** Bytes that the code of a worker may take; told to it as `memory`. */
  readonly memoryBytes: number
  readonly workers: number
  /** How long one request may take, ms. */
  readonly timeoutMs: number
  /** Whether the worker stops by itself after `timeoutMs`, or when `interrupt` is set; else its process is ended at once. */
  readonly interruptible: boolean
  /** How long loading may take, ms. */
  readonly loadMs: number
  /** Where log lines of the code go. */
  readonly logger: Logger
  /** Aborted: a request may take a moment from then on, no longer. */
  readonly signal: AbortSignal
}

interface Job {
  readonly request: unknown
  readonly answer: PromiseWithResolvers<unknown>
}

/** Time between asking code to stop and ending its process: it has to tell where it was. */
const INTERRUPT_MS = 5000
/** What a request may still take when everything is to stop. */
const GRACE_MS = 2000
/** The signal number that Python knows as an interruption. */
const INTERRUPTED = 2

/** Processes without rights that answer requests, each one at a time; one that hangs is ended and replaced. */
export class WorkerPool {
  /** What the first worker told of its code. */
  readonly facts: unknown
  private readonly options: WorkerPoolOptions
  private readonly slots: Slot[]
  private readonly waiting: Job[] = []
  private closed = false

  private constructor(options: WorkerPoolOptions, first: Slot, facts: unknown) {
    this.options = options
    this.facts = facts
    this.slots = [first, ...Array.from({ length: options.workers - 1 }, () => new Slot(options))]
  }

  /** Starts one worker and waits until its code is loaded. @throws Error with what is wrong with the code */
  static async open(options: WorkerPoolOptions): Promise<WorkerPool> {
    const first = new Slot(options)
    const facts = await first.ready()
    return new WorkerPool(options, first, facts)
  }

  /**
   * Asks the next free worker.
   * @throws SandboxError; MigrateError FM_INTERRUPTED when it takes long and everything is to stop
   */
  run(request: unknown): Promise<unknown> {
    const job: Job = { request, answer: Promise.withResolvers<unknown>() }
    this.waiting.push(job)
    this.next()
    return job.answer.promise
  }

  private next(): void {
    for (const slot of this.slots) {
      if (slot.busy) continue
      const job = this.waiting.shift()
      if (job === undefined) return
      void slot
        .run(job.request, this.options.timeoutMs)
        .then(job.answer.resolve, job.answer.reject)
        .finally(() => this.next())
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    for (const job of this.waiting.splice(0)) job.answer.reject(new SandboxError('crash', 'the sandbox is closed'))
    await Promise.all(this.slots.map((slot) => slot.end()))
  }
}

function interrupted(): MigrateError {
  return new MigrateError(
    'FM_INTERRUPTED',
    'a rule or script was still at work when everything was to stop',
    'Go on with --resume: what it was at work on is read again.',
  )
}

/** A place for one worker. */
class Slot {
  busy = false
  private readonly options: WorkerPoolOptions
  private worker: SandboxProcess | null = null
  private loaded: Promise<unknown> | null = null
  private listen: ((message: FromHost) => void) | null = null
  private fail: ((error: Error) => void) | null = null

  constructor(options: WorkerPoolOptions) {
    this.options = options
  }

  /** Starts the worker where there is none; gives what its code is. */
  ready(): Promise<unknown> {
    this.loaded ??= this.start()
    return this.loaded
  }

  private start(): Promise<unknown> {
    const { module, data, memoryBytes, loadMs, logger } = this.options
    const loaded = Promise.withResolvers<unknown>()
    const worker = new SandboxProcess({
      module,
      data: { ...data, memory: memoryBytes },
      memoryBytes,
      onMessage: (message) => {
        if (message.kind === 'log') logger.log('info', message.text, { from: 'script' })
        else if (message.kind === 'ready') loaded.resolve(message.facts)
        else if (message.kind === 'failed') {
          loaded.reject(new Error(message.message))
          void this.end()
        } else this.listen?.(message)
      },
      onGone: (why) => {
        if (this.worker !== worker) return
        this.worker = null
        this.loaded = null
        const error = new SandboxError('crash', why)
        loaded.reject(error)
        this.fail?.(error)
        void worker.end()
      },
    })
    this.worker = worker
    const timer = setTimeout(() => {
      loaded.reject(new SandboxError('timeout', `it was not loaded within ${loadMs} ms`))
      void this.end()
    }, loadMs)
    return loaded.promise.finally(() => clearTimeout(timer))
  }

  async run(request: unknown, timeoutMs: number): Promise<unknown> {
    this.busy = true
    let soft: NodeJS.Timeout | undefined
    let hard: NodeJS.Timeout | undefined
    let last: NodeJS.Timeout | undefined
    const { signal, interruptible } = this.options
    const answer = Promise.withResolvers<unknown>()
    const endSoon = (): void => {
      last = setTimeout(() => {
        answer.reject(interrupted())
        void this.end()
      }, GRACE_MS)
    }
    if (signal.aborted) endSoon()
    else signal.addEventListener('abort', endSoon, { once: true })
    try {
      this.fail = answer.reject
      await Promise.race([this.ready(), answer.promise])
      this.listen = (message) => {
        if (message.kind === 'result') answer.resolve(message.result)
        else if (message.kind === 'error') {
          answer.reject(new SandboxError(message.of, message.message))
          if (message.of === 'crash') void this.end()
        }
      }
      const { worker } = this
      // It may have gone in the moment in which it was ready.
      if (worker === null) throw new SandboxError('crash', 'its process ended')
      soft = setTimeout(() => {
        worker.interrupt(INTERRUPTED)
        hard = setTimeout(
          () => {
            answer.reject(
              new SandboxError('timeout', `it took longer than ${timeoutMs} ms and could not be interrupted`),
            )
            void this.end()
          },
          interruptible ? INTERRUPT_MS : 0,
        )
      }, timeoutMs)
      worker.ask(request)
      return await answer.promise
    } finally {
      clearTimeout(soft)
      clearTimeout(hard)
      clearTimeout(last)
      signal.removeEventListener('abort', endSoon)
      this.listen = null
      this.fail = null
      this.busy = false
    }
  }

  async end(): Promise<void> {
    const { worker } = this
    this.worker = null
    this.loaded = null
    await worker?.end()
  }
}
