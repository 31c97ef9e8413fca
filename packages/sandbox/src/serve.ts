import { parentPort } from 'node:worker_threads'
import { SandboxError } from './sandbox-error.js'

/** What a worker tells the thread that started it. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly facts: unknown }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'error'; readonly of: SandboxError['kind']; readonly message: string }
  | { readonly kind: 'log'; readonly text: string }

const LOG_LINES = 10_000
const LOG_BYTES = 2000
let logged = 0
// Taken before anything is sealed.
const port = parentPort

/** Writes a line to the log of the run; cut, and not without end. */
export function logLine(text: string): void {
  if (++logged > LOG_LINES) return
  const line = logged === LOG_LINES ? '(no more lines are logged)' : text.slice(0, LOG_BYTES)
  port?.postMessage({ kind: 'log', text: line } satisfies WorkerMessage)
}

/**
 * Answers requests of a WorkerPool one after the other.
 * A handler that throws a SandboxError of the kind `crash` gets a new thread for what comes next.
 * @param prepare loads the engine and the code; what it returns as `facts` is told to the pool. Its Error ends the worker.
 */
export async function serve<Request>(
  prepare: () => Promise<{
    readonly facts: unknown
    handle(request: Request): { readonly result: unknown; readonly transfer: readonly ArrayBuffer[] }
  }>,
): Promise<void> {
  const send = (message: WorkerMessage, transfer: readonly ArrayBuffer[] = []): void =>
    port?.postMessage(message, [...transfer])
  try {
    const { facts, handle } = await prepare()
    port?.on('message', (request: Request) => {
      try {
        const { result, transfer } = handle(request)
        send({ kind: 'result', result }, transfer)
      } catch (error) {
        const of = error instanceof SandboxError ? error.kind : 'batch'
        send({ kind: 'error', of, message: (error as Error).message })
      }
    })
    send({ kind: 'ready', facts })
  } catch (error) {
    send({ kind: 'failed', message: (error as Error).message })
  }
}
