import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { Endpoint } from './endpoint.js'

const MOST_WAIT_MS = 3000
const MOST_WAIT_MOVING_MS = 500

/** The longest wait between two tries to connect, ms: another server may take the place of a lost one at any moment. */
export function mostWaitMs({ moving }: Pick<Endpoint, 'moving'>): number {
  return moving === undefined ? MOST_WAIT_MS : MOST_WAIT_MOVING_MS
}

/**
 * Tries until it works, the error is not retryable, the time is over or the signal aborts. Waits 100 ms at first,
 * doubling to 3 s, or what is given.
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  options: {
    readonly timeoutMs: number
    readonly signal: AbortSignal
    readonly mostWaitMs?: number
    onRetry?(error: MigrateError): void | Promise<void>
  },
): Promise<T> {
  const deadline = Date.now() + options.timeoutMs
  for (let wait = 100; ; wait = Math.min(wait * 2, options.mostWaitMs ?? MOST_WAIT_MS)) {
    try {
      return await attempt()
    } catch (error) {
      if (
        !(error instanceof MigrateError) ||
        !error.retryable ||
        options.signal.aborted ||
        Date.now() + wait > deadline
      )
        throw error
      await options.onRetry?.(error)
      await sleep(wait, undefined, { signal: options.signal }).catch(() => undefined)
      if (options.signal.aborted) throw error
    }
  }
}
