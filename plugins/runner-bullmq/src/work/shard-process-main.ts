import { toldError } from '@ferrite-migrate/contracts'
import { ShardProcess } from './shard-process.js'
import type { FromShardProcess, ToShardProcess } from './worker-message.js'

// A process that runs one shard at a time, for the command `worker`, which it speaks to over the channel it was started with.
let running: ShardProcess | null = null

function tell(message: FromShardProcess): void {
  if (process.connected) process.send?.(message)
}

process.title = 'ferrite-migrate worker'
process.on('message', (message: ToShardProcess) => {
  if (message.kind === 'stop') {
    running?.stop()
    return
  }
  try {
    running = new ShardProcess(message.task, tell)
  } catch (error) {
    tell({ kind: 'unfit', text: toldError(error).message })
    process.exit(1)
  }
  void running.run().then(
    () => process.exit(0),
    (error: unknown) => {
      tell({ kind: 'said', level: 'warn', text: toldError(error).message })
      process.exit(1)
    },
  )
})
// Whoever started it is gone: the job goes to another worker.
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
