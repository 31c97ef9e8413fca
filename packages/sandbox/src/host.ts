/**
 * The first thread of a sandbox's process. It hands on what the tool and the worker say to each other, and ends the process
 * when the tool is gone or more memory is taken than may be. It runs no code of users.
 */
import { Worker } from 'node:worker_threads'
import type { FromHost, ToHost } from './host-message.js'

const WATCH_MS = 100

function say(message: FromHost, then: () => void = () => undefined): void {
  process.send?.(message, undefined, undefined, then)
}

function start({ module, rights, data, heapMb, residentBytes }: Extract<ToHost, { kind: 'start' }>): void {
  const interrupt = new Uint8Array(new SharedArrayBuffer(1))
  const worker = new Worker(new URL(module), {
    workerData: { ...data, interrupt },
    env: {},
    argv: [],
    execArgv: [...rights],
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  })
  worker.stdout.resume()
  worker.stderr.resume()
  const end = (message: string): void => say({ kind: 'ended', message }, () => process.exit(0))
  worker.on('message', (message: FromHost) => say(message))
  worker.on('error', (error) => end(error.message))
  worker.on('exit', () => end('its thread ended'))
  process.on('message', (message: ToHost) => {
    if (message.kind === 'interrupt') Atomics.store(interrupt, 0, message.signal)
    else if (message.kind === 'request') {
      Atomics.store(interrupt, 0, 0)
      worker.postMessage(message.request)
    }
  })
  setInterval(() => {
    if (process.memoryUsage.rss() > residentBytes) end('it took more memory than it may')
  }, WATCH_MS)
}

process.on('disconnect', () => process.exit(0))
process.once('message', (message: ToHost) => {
  if (message.kind === 'start') start(message)
})
