import { once } from 'node:events'
import type { ConnectionOptions } from 'node:tls'
import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import type { Redis } from 'ioredis'
import { clientFault } from '../address/client-fault.js'
import { printAddress } from '../address/host-port.js'
import { serverName } from '../address/server-name.js'
import { sentinelReplyError } from './sentinel-error.js'

export interface SentinelAccess {
  readonly username?: string
  readonly password?: string
  readonly tls?: ConnectionOptions
  readonly connectTimeoutMs: number
}

const RETRY_MS = 100
const MOST_RETRY_MS = 1000

function wordsOf(error: unknown): string {
  const text = clientFault(error)
  return /RESP type|Protocol error/.test(text) ? 'what answers there is no sentinel' : text
}

function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** One connection to a sentinel, made anew by ioredis when it is lost. Opened by the first command. */
export class SentinelConnection {
  /** `host:port`. */
  readonly at: string
  private readonly client: Redis
  private readonly access: SentinelAccess
  /** Of the connection as it is now. */
  private login: Promise<void> | null = null
  private failure: unknown = null

  constructor(make: typeof Redis, address: Address, access: SentinelAccess) {
    const { host, port } = address
    this.at = printAddress(address)
    this.access = access
    this.client = new make({
      host,
      port,
      protocol: 2,
      lazyConnect: true,
      // Nothing waits in a queue for a connection: who asks is told at once, and asks again.
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
      maxRetriesPerRequest: 0,
      connectTimeout: access.connectTimeoutMs,
      keepAlive: 5000,
      retryStrategy: (times) => Math.min(times * RETRY_MS, MOST_RETRY_MS),
      ...(access.tls === undefined ? {} : { tls: { servername: serverName(host), ...access.tls } }),
    })
    this.client.on('error', (error) => {
      this.failure = error
    })
    this.client.on('close', () => {
      this.login = null
    })
  }

  /**
   * One command.
   * @throws MigrateError FM_AUTH_*, FM_SENTINEL_NONE; FM_SENTINEL_AWAY with what went wrong, retryable
   */
  async call(...argv: readonly [string, ...string[]]): Promise<unknown> {
    const [command, ...words] = argv
    return this.bounded(async () => {
      await this.connected()
      return this.client.call(command, ...words)
    })
  }

  /**
   * Listens to a channel, over all connections to come; they are made without being asked for.
   * @param begun called each time that the subscription stands
   */
  async listen(channel: string, heard: (message: string) => void, begun: () => void): Promise<void> {
    this.client.on('message', (_channel: string, message: string) => heard(message))
    const begin = (): void => {
      this.bounded(async () => {
        await this.connected()
        await this.client.subscribe(channel)
      }).then(begun, () => undefined)
    }
    this.client.on('ready', begin)
    await this.client.connect().catch(() => undefined)
  }

  close(): void {
    this.client.disconnect()
  }

  /** @throws what it was answered, or why there is no connection */
  private async connected(): Promise<void> {
    const { client } = this
    if (client.status === 'wait') await client.connect().catch(() => undefined)
    else if (client.status === 'connecting' || client.status === 'connect') {
      const done = new AbortController()
      const events = ['ready', 'close'].map((name) => once(client, name, { signal: done.signal }))
      await Promise.race(events).catch(() => undefined)
      done.abort()
    }
    if (client.status !== 'ready') throw this.failure ?? new Error('not connected')
    // By ioredis it would go to the console when a sentinel wants no password.
    this.login ??= this.logIn()
    await this.login
  }

  private async logIn(): Promise<void> {
    const { username, password } = this.access
    if (password === undefined) return
    await this.client.call('AUTH', ...(username === undefined ? [password] : [username, password]))
  }

  private async bounded<T>(work: () => Promise<T>): Promise<T> {
    const { connectTimeoutMs } = this.access
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // What was not answered by now is dropped with its connection.
        if (this.client.status === 'ready') this.client.disconnect(true)
        reject(Object.assign(new Error('does not answer'), { code: 'ETIMEDOUT' }))
      }, connectTimeoutMs)
    })
    try {
      return await Promise.race([work(), late])
    } catch (error) {
      if (isReply(error)) throw sentinelReplyError(this.at, error.message)
      throw new MigrateError('FM_SENTINEL_AWAY', `${this.at}: ${wordsOf(error)}`, 'Look whether it runs.', {
        retryable: true,
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }
}
