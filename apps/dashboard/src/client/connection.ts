import type { Answers, Method, Notices, Params } from '@ferrite-migrate/api'
import { JSONRPCClient } from 'json-rpc-2.0'

/** What the service answered instead of a result. */
export class AskError extends Error {
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, hint: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

type Told = { [N in keyof Notices]: (notice: Notices[N]) => void }

interface Message {
  readonly method?: keyof Notices
  readonly params?: unknown
}

/** How the service is reached now. */
export type Reach = 'connecting' | 'open' | 'lost'

const AGAIN_MS = 1000
/** A question that nothing was heard after for so long: the service stands still, or the network does. */
const SILENT_MS = 6000
/** Then another connection is tried. */
const DEAD_MS = 60_000

/** The protocol over one WebSocket, which is opened again when it is lost. */
export class Connection {
  private readonly client: JSONRPCClient<void>
  private readonly token: string
  private readonly listeners = new Set<Partial<Told>>()
  private readonly onReach: (reach: Reach) => void
  private socket: WebSocket | null = null
  private closed = false
  /** When something was asked that nothing was heard after yet, ms; null = nothing is due. */
  private askedAt: number | null = null
  private readonly watch: ReturnType<typeof setInterval>

  constructor(token: string, onReach: (reach: Reach) => void) {
    this.token = token
    this.onReach = onReach
    this.client = new JSONRPCClient((message) => {
      if (this.socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error('The service is not reached.'))
      this.askedAt ??= Date.now()
      this.socket.send(JSON.stringify(message))
      return Promise.resolve()
    })
    this.watch = setInterval(() => this.look(), AGAIN_MS)
    this.open()
  }

  /** @throws AskError */
  async ask<M extends Method>(method: M, params: Params<M>): Promise<Answers[M]> {
    try {
      return await this.client.request(method, params)
    } catch (error) {
      const data = (error as { data?: { code?: string; hint?: string } }).data
      throw new AskError(data?.code ?? '', (error as Error).message, data?.hint ?? '')
    }
  }

  /** Gives a function that ends it. */
  listen(told: Partial<Told>): () => void {
    this.listeners.add(told)
    return () => this.listeners.delete(told)
  }

  close(): void {
    this.closed = true
    clearInterval(this.watch)
    this.socket?.close()
  }

  private look(): void {
    const silent = this.askedAt === null ? 0 : Date.now() - this.askedAt
    if (silent > SILENT_MS) this.onReach('lost')
    if (silent > DEAD_MS) this.lost()
  }

  private lost(): void {
    const { socket } = this
    this.socket = null
    this.askedAt = null
    if (socket !== null) {
      socket.onclose = null
      socket.onmessage = null
      socket.close()
    }
    this.client.rejectAllPendingRequests('The service was lost.')
    if (this.closed) return
    this.onReach('lost')
    setTimeout(() => !this.closed && this.open(), AGAIN_MS)
  }

  private open(): void {
    this.onReach('connecting')
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws`, [
      'ferrite-migrate',
      `ferrite-migrate.token.${this.token}`,
    ])
    this.socket = socket
    socket.onopen = () => this.onReach('open')
    socket.onmessage = ({ data }) => {
      if (this.askedAt !== null && Date.now() - this.askedAt > SILENT_MS) this.onReach('open')
      this.askedAt = null
      this.take(JSON.parse(String(data)))
    }
    socket.onclose = () => this.lost()
  }

  private take(message: Message): void {
    const { method, params } = message
    if (method === undefined) this.client.receive(message as Parameters<typeof this.client.receive>[0])
    else for (const told of this.listeners) (told[method] as ((notice: unknown) => void) | undefined)?.(params)
  }
}

/** True = the service takes it; null = the service is out of reach. */
export async function isToken(token: string): Promise<boolean | null> {
  try {
    const { status } = await fetch('rpc', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"jsonrpc":"2.0","id":1,"method":"migration.list"}',
    })
    return status !== 401
  } catch {
    return null
  }
}
