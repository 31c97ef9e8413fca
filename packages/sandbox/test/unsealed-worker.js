// A worker that has fallen into wrong hands: nothing in it is sealed, and it tries what its process should not let it do.
import { workerData } from 'node:worker_threads'
import { serve } from '@ferrite-migrate/sandbox'

const { secret, written } = workerData
const attempts = {
  'read a file': async () => (await import('node:fs')).readFileSync(secret, 'utf8'),
  'list a directory': async () => (await import('node:fs')).readdirSync('/'),
  'write a file': async () => (await import('node:fs')).writeFileSync(written, 'x'),
  'link to a file': async () => (await import('node:fs')).symlinkSync(secret, written),
  'read the environment of the tool': async () =>
    (await import('node:fs')).readFileSync(`/proc/${process.ppid}/environ`, 'utf8'),
  'start a process': async () => (await import('node:child_process')).spawnSync('/bin/true').status ?? Promise.reject(),
  'open a database file': async () => new (await import('node:sqlite')).DatabaseSync(written),
  'load an addon': async () => process.dlopen({ exports: {} }, secret),
  'use an inner module': async () => process.binding('fs'),
  'read in a thread of its own': async () => {
    const { Worker } = await import('node:worker_threads')
    const code = `require('node:worker_threads').parentPort.postMessage(require('node:fs').readFileSync(${JSON.stringify(secret)}, 'utf8'))`
    const worker = new Worker(code, { eval: true, execArgv: [] })
    return await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  },
  'make code of text': async () => new Function('return 1')(),
}

await serve(async () => {
  const done = {}
  for (const [name, attempt] of Object.entries(attempts))
    try {
      done[name] = String(await attempt())
    } catch (error) {
      done[name] = error instanceof Error ? null : 'failed for another reason'
    }
  return {
    facts: { done, pid: process.pid, environment: Object.keys(process.env), argv: process.argv },
    handle: (request) => {
      if (request === 'loop') for (;;);
      const kept = []
      if (request === 'memory') for (;;) kept.push(new ArrayBuffer(64 << 20), new Uint8Array(kept.at(-1)).fill(1))
      return { result: request, transfer: [] }
    },
  }
})
