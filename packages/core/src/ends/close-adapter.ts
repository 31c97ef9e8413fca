import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@ferrite-migrate/contracts'

/** How long an adapter may take to release what it holds. */
const CLOSES_WITHIN_MS = 10_000

/** Releases an adapter whose work is done: one that fails at it, or does not come to an end, keeps nobody from leaving. */
export async function closeAdapter(kind: string, adapter: AsyncDisposable | null, logger: Logger): Promise<void> {
  if (adapter === null) return
  const closed = adapter[Symbol.asyncDispose]().then(
    () => null,
    (error: Error) => `failed: ${error.message}`,
  )
  const failure = await Promise.race([closed, sleep(CLOSES_WITHIN_MS, 'takes too long', { ref: false })])
  if (failure !== null) logger.log('warn', `closing the ${kind} ${failure}`)
}
