import type { Logger } from '@ferrite-migrate/contracts'
import type { MigrationService } from '../service/migration-service.js'
import { lines } from './lines.js'
import { RpcSession } from './rpc-session.js'

export interface Stdio {
  readonly input: AsyncIterable<Buffer>
  readonly output: NodeJS.WritableStream
}

/**
 * Speaks the protocol over two streams, a message a line, until the input ends; then what was not detached is stopped gracefully. Requests
 * are worked on at once, so that answers may come in another order than their questions.
 * @throws RangeError when a line is longer than 16 MiB: what follows could not be told from it
 */
export async function serveStdio(service: MigrationService, { input, output }: Stdio, logger: Logger): Promise<void> {
  const write = (message: object): void => {
    output.write(`${JSON.stringify(message)}\n`)
  }
  // Nobody reads any more: that the input ends says the rest.
  output.on('error', () => undefined)
  const session = new RpcSession({ service, logger, send: write })
  const working = new Set<Promise<void>>()
  try {
    for await (const line of lines(input)) {
      const work: Promise<void> = session.take(line).then((response) => {
        if (response !== null) write(response)
        working.delete(work)
      })
      working.add(work)
    }
  } finally {
    session.close()
    await service.stop()
    await Promise.all(working)
    service.close()
  }
}
