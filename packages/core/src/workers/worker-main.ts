import type { ToWorker } from './worker-message.js'
import { WorkerSession } from './worker-session.js'

// A process that runs shards of a migration for another one, which it speaks to over the channel it was started with.
const session = new WorkerSession({
  send: (message) => {
    if (process.connected) process.send?.(message)
  },
})
process.on('message', (message: ToWorker) => {
  const taken = session.take(message)
  if (message.kind === 'run') void taken.finally(() => process.disconnect())
})
// Without the process of the migration there is nothing to go on for: what was not written comes again.
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
