import { once } from 'node:events'
import type { Logger } from '@ferrite-migrate/contracts'
import type { MigrationService } from '../service/migration-service.js'
import { lines } from './lines.js'
import { RpcSession } from './rpc-session.js'

/** Requests that are worked on at once; what comes then waits in the pipe. */
const AT_ONCE = 1000

export interface Stdio {
  readonly input: AsyncIterable<Buffer>
  readonly output: NodeJS.WritableStream & { readonly writableNeedDrain?: boolean }
  /** Aborted: whoever aborts ends the input as well. */
  readonly signal?: AbortSignal
}

/**
 * Speaks the protocol over two streams, a message a line, until the input ends; then what was not detached is stopped gracefully. Requests
 * are worked on at once, so that answers may come in another order than their questions. A client that does not read is not asked
 * for more, and is told only where a migration stands when it reads again.
 * @throws MigrateError FM_PROTOCOL when a line is longer than 16 MiB
 */
export async function serveStdio(
  service: MigrationService,
  { input, output, signal }: Stdio,
  logger: Logger,
): Promise<void> {
  let gone = false
  const write = (message: object): void => {
    if (!gone) output.write(`${JSON.stringify(message)}\n`)
  }
  // Nobody reads any more: that the input ends says the rest.
  output.on('error', () => {
    gone = true
  })
  const full = (): boolean => !gone && output.writableNeedDrain === true
  const session = new RpcSession({ service, logger, send: write, full })
  const working = new Set<Promise<void>>()
  try {
    for await (const line of lines(input)) {
      const work: Promise<void> = session.take(line).then((response) => {
        if (response !== null) write(response)
        working.delete(work)
      })
      working.add(work)
      while (working.size >= AT_ONCE) await Promise.race(working)
      if (full()) await once(output, 'drain').catch(() => undefined)
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error
  } finally {
    session.close()
    await service.stop()
    await Promise.all(working)
    service.close()
  }
}
