import { access, chmod, lstat, rm } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { dirname, resolve } from 'node:path'
import fastifyStatic from '@fastify/static'
import fastifyWebsocket from '@fastify/websocket'
import { type MigrationService, RpcSession } from '@ferrite-migrate/api'
import type { Logger } from '@ferrite-migrate/contracts'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { type ListenPlace, notListening } from '../listen/listen-place.js'
import { Scrape } from '../metrics/scrape.js'
import type { Access, Asking } from './access.js'
import { speak } from './web-socket.js'

/** Bytes of the path of a socket, as every system takes them. */
const MOST_PATH = 103
/** Bytes of one message at most, as over standard input. */
const MOST_MESSAGE = 16 << 20
const WITHIN_MS = 30_000
const MOST_CONNECTIONS = 500
/** How long clients may take to say goodbye. */
const GOODBYE_MS = 250
const GOING_AWAY = 1001
const SUBPROTOCOL = 'ferrite-migrate'
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export interface HttpServerNeeds {
  readonly service: MigrationService
  readonly logger: Logger
  readonly access: Access
  /** Folder of the page that is shown at /; null = there is none. */
  readonly page: string | null
}

/**
 * Answers the protocol over HTTP (POST /rpc) and WebSocket (GET /ws), collectors (GET /metrics), and shows a page. Everything but the
 * page, which holds nothing of anybody, wants the token.
 */
export class HttpServer {
  private readonly app: FastifyInstance

  private constructor(app: FastifyInstance) {
    this.app = app
  }

  static async create(needs: HttpServerNeeds): Promise<HttpServer> {
    const app = fastify({
      logger: false,
      bodyLimit: MOST_MESSAGE,
      forceCloseConnections: true,
      requestTimeout: WITHIN_MS,
    })
    app.server.maxConnections = MOST_CONNECTIONS
    // Before all that is registered: what is inside of them takes it over.
    app.setErrorHandler((error: Error & { statusCode?: number }, _, reply) => {
      const code = error.statusCode ?? 500
      if (code >= 500) needs.logger.log('error', `a request failed: ${error.message}`)
      return reply.code(code).send({ error: code >= 500 ? 'Internal error' : error.message })
    })
    await app.register(fastifyWebsocket, {
      options: {
        maxPayload: MOST_MESSAGE,
        perMessageDeflate: false,
        handleProtocols: (names: Set<string>) => (names.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
      },
      // The plugin's own waits half a minute for a client that never answers its goodbye.
      async preClose() {
        const { clients } = app.websocketServer
        for (const client of clients) client.close(GOING_AWAY, 'the service ends')
        if (clients.size > 0) await new Promise((done) => setTimeout(done, GOODBYE_MS))
        for (const client of clients) client.terminate()
        app.websocketServer.close()
      },
    })
    guard(app, needs.access)
    await app.register(async (inside) => protocol(inside, needs))
    if (needs.page !== null) await page(app, needs.page)
    else app.get('/', async () => ({ name: 'ferrite-migrate', protocol: ['POST /rpc', 'GET /ws', 'GET /metrics'] }))
    app.get('/health', async () => ({ status: 'ok' }))
    app.setNotFoundHandler((_, reply) => reply.code(404).send({ error: 'There is nothing here.' }))
    return new HttpServer(app)
  }

  /** @returns the URL that it answers at. @throws MigrateError FM_LISTEN */
  async listen({ host, port }: ListenPlace): Promise<string> {
    try {
      await this.app.listen({ host, port })
    } catch (cause) {
      throw notListening(`${host.includes(':') ? `[${host}]` : host}:${port}`, cause as NodeJS.ErrnoException)
    }
    const { address, family, port: taken } = this.app.server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`
  }

  /** Only the owner of this process may connect. @throws MigrateError FM_LISTEN */
  async listenAt(path: string): Promise<void> {
    const before = process.umask(0o177)
    try {
      // The system says of both that it does not allow them, or nothing.
      if (Buffer.byteLength(path) > MOST_PATH) throw Object.assign(new Error(path), { code: 'ENAMETOOLONG' })
      await access(dirname(resolve(path)))
      if (await isLeft(path)) await rm(path)
      await this.app.listen({ path })
      await chmod(path, 0o600)
    } catch (cause) {
      throw notListening(
        path,
        cause as NodeJS.ErrnoException,
        'Give a path that nothing is at yet, in a folder that is there and yours.',
      )
    } finally {
      process.umask(before)
    }
  }

  async close(): Promise<void> {
    await this.app.close()
  }
}

/** A socket that nobody answers at was left by one that was killed; anything else that is there is not ours to take away. */
async function isLeft(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => null)
  if (found?.isSocket() !== true) return false
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy()
      done(false)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code === 'ECONNREFUSED'))
  })
}

function askingOf({ headers }: FastifyRequest): Asking {
  const { host, origin, authorization } = headers
  return { host, origin, authorization, protocols: headers['sec-websocket-protocol'] }
}

/** Against names that others let lead here, and pages of other origins in the same browser. */
function guard(app: FastifyInstance, access: Access): void {
  app.addHook('onRequest', async (request, reply) => {
    const asking = askingOf(request)
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
    if (!access.isCalled(asking))
      return reply.code(421).send({ error: 'The service is not called so: --allow-host tells by which names it is.' })
    if (!access.isOwn(asking)) return reply.code(403).send({ error: 'Pages of other origins are not answered.' })
  })
}

/** What wants the token. */
function protocol(app: FastifyInstance, { service, logger, access }: HttpServerNeeds): void {
  const scrape = new Scrape()
  // Before the body is read: who does not know the token fills no memory.
  app.addHook('onRequest', async (request, reply) => {
    if (access.knows(askingOf(request))) return
    return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'The token is missing or wrong.' })
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) => done(null, body))
  app.post<{ Body: string | undefined }>('/rpc', async (request, reply) => {
    const session = new RpcSession({ service, logger, send: null })
    // Answered, or nobody waits for it any more.
    reply.raw.once('close', () => session.close())
    const response = await session.take(request.body ?? '')
    reply.header('cache-control', 'no-store')
    return response === null ? reply.code(204).send() : reply.type('application/json').send(JSON.stringify(response))
  })
  app.get('/ws', { websocket: true }, (socket) => speak(socket, service, logger))
  app.get('/metrics', async (request, reply) => {
    const form = Scrape.formOf(request.headers.accept ?? '')
    reply.header('cache-control', 'no-store').type(Scrape.contentType(form))
    const samples = service
      .measured()
      .flatMap(({ id, samples }) => samples.map((one) => ({ ...one, labels: { ...one.labels, migration: id } })))
    return scrape.text(samples, form)
  })
}

async function page(app: FastifyInstance, root: string): Promise<void> {
  await app.register(fastifyStatic, {
    root,
    wildcard: false,
    cacheControl: false,
    setHeaders: (reply, path) => {
      reply.header('content-security-policy', CSP)
      reply.header('cache-control', path.includes('assets') ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
}
