import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'

/**
 * Tries until it works, the error is not retryable, the time is over or the signal aborts. Waits 100 ms at first,
 * doubling to 3 s.
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal; onRetry?(error: MigrateError): void },
): Promise<T> {
  const deadline = Date.now() + options.timeoutMs
  for (let wait = 100; ; wait = Math.min(wait * 2, 3000)) {
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
      options.onRetry?.(error)
      await sleep(wait, undefined, { signal: options.signal }).catch(() => undefined)
      if (options.signal.aborted) throw error
    }
  }
}
