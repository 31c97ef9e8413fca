import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Runs in a thread of its own: answers +OK to each command, and does nothing else. */
const CODE = `
const { createServer } = require('node:net')
const { parentPort } = require('node:worker_threads')
const OK = Buffer.from('+OK\\r\\n')
const server = createServer((socket) => {
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let at = 0
    let answers = 0
    for (;;) {
      const next = end(data, at)
      if (next < 0) break
      at = next
      answers++
    }
    rest = Buffer.from(data.subarray(at))
    if (answers > 0) socket.write(Buffer.concat(Array(answers).fill(OK)))
  })
})
function line(data, at) { const to = data.indexOf(10, at); return to < 0 ? null : [Number(data.toString('latin1', at + 1, to - 1)), to + 1] }
function end(data, at) {
  if (at >= data.length) return -1
  const head = line(data, at)
  if (head === null) return -1
  let [count, next] = head
  for (; count > 0; count--) {
    if (next >= data.length) return -1
    const size = line(data, next)
    if (size === null) return -1
    next = size[1] + size[0] + 2
    if (next > data.length) return -1
  }
  return next
}
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

/** A server that costs nothing: what can be measured against it is the client's own limit. */
export class NullServer {
  readonly port: number
  private readonly worker: Worker

  private constructor(worker: Worker, port: number) {
    this.worker = worker
    this.port = port
  }

  static async start(): Promise<NullServer> {
    const worker = new Worker(CODE, { eval: true })
    const [port] = (await once(worker, 'message')) as [number]
    return new NullServer(worker, port)
  }

  async stop(): Promise<void> {
    await this.worker.terminate()
  }
}
