import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { MetricSample } from '@ferrite-migrate/core'
import { listenPlace, notListening } from '../listen/listen-place.js'
import { Scrape } from './scrape.js'

const MOST_CONNECTIONS = 50
/** How long a collector may take to ask and to read. */
const WITHIN_MS = 10_000

/** Answers GET /metrics with what is measured now, for as long as a run goes on. */
export class MetricsListener {
  private readonly server: Server
  private readonly scrape = new Scrape()
  private readonly busy = new WeakSet<Socket>()
  private readonly samples: () => readonly MetricSample[]

  private constructor(samples: () => readonly MetricSample[]) {
    this.samples = samples
    this.server = createServer((request, response) => {
      this.answer(request, response).catch(() => response.destroy())
    })
    this.server.maxConnections = MOST_CONNECTIONS
    this.server.requestTimeout = WITHIN_MS
    this.server.timeout = WITHIN_MS
    // A collector that keeps its connection must not keep the program.
    this.server.unref()
  }

  /**
   * @param address HOST:PORT, or PORT for this machine alone; port 0 = any free one
   * @throws MigrateError FM_LISTEN, FM_OPTION_VALUE
   */
  static async open(address: string, samples: () => readonly MetricSample[]): Promise<MetricsListener> {
    const { host, port } = listenPlace(address)
    const listener = new MetricsListener(samples)
    await new Promise<void>((resolve, reject) => {
      listener.server.once('error', (cause) => reject(notListening(address, cause)))
      listener.server.listen(port, host, resolve)
    })
    return listener
  }

  /** Where it answers. */
  get url(): string {
    const { address, family, port } = this.server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((done) => this.server.close(done))
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '', method, headers, socket } = request
    // Nobody who collects asks again before he was answered: whoever does would have many answers made that he does not read.
    if (this.busy.has(socket)) return void socket.destroy()
    this.busy.add(socket)
    response.once('close', () => this.busy.delete(socket))
    if (url.split('?')[0] !== '/metrics') return void response.writeHead(404).end('GET /metrics\n')
    if (method !== 'GET' && method !== 'HEAD') return void response.writeHead(405, { allow: 'GET, HEAD' }).end()
    const form = Scrape.formOf(headers.accept ?? '')
    const text = await this.scrape.text(this.samples(), form)
    response.writeHead(200, { 'content-type': Scrape.contentType(form), 'cache-control': 'no-store' })
    response.end(method === 'HEAD' ? undefined : text)
  }
}
