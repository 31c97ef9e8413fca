import { connect, type Socket } from 'node:net'
import { MigrateError } from '@ferrite-migrate/contracts'
import { SilenceWatch } from '@ferrite-migrate/protocol'
import type { MemcachedEndpoint } from './memcached-endpoint.js'

/** One item as the server gave it. */
export interface Item {
  /** A view of what was received: valid until the next request. */
  readonly value: Buffer
  readonly flags: number
  /** Seconds left, -1 = no expiry. */
  readonly ttl: number
}

const LF = 10
/** No server takes larger items (-I up to 1 GiB). */
const MOST_BYTES = 1 << 30
const LINE_BYTES = 8192
const MOST_STATS = 10_000
const MOST_UNREAD = 8 << 20
const KEEP_ALIVE_MS = 30_000
const CR = 13
const NO_DATA: Buffer = Buffer.alloc(0)

/** One connection in the text protocol; requests are answered in order, one at a time. */
export class MemcachedLink {
  readonly name: string
  private readonly socket: Socket
  private data: Buffer = NO_DATA
  private at = 0
  /** What came since, joined when as much is there as is wanted: a large item is copied once. */
  private parts: Buffer[] = []
  private partBytes = 0
  private wanted = 0
  private waiting = false
  private followed = false
  private readonly silence: SilenceWatch
  private arrived = Promise.withResolvers<void>()
  private failure: MigrateError | null = null

  private constructor(socket: Socket, name: string, silenceMs: number) {
    this.socket = socket
    this.name = name
    this.silence = new SilenceWatch({
      limitMs: silenceMs,
      expecting: () => this.waiting && !this.followed,
      deaf: () => socket.isPaused(),
      pendingBytes: () => socket.writableLength,
      silent: (ms) => {
        this.fail(`it has not answered for ${Math.round(ms / 1000)} s`, 'FM_CONNECT_SILENT')
        socket.destroy()
      },
    })
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.on('data', (chunk) => {
      this.silence.progress()
      this.parts.push(chunk)
      this.partBytes += chunk.length
      const unread = this.data.length - this.at + this.partBytes
      if (unread >= this.wanted) this.join()
      // What nobody has asked for yet waits in the kernel.
      if (!this.waiting && unread > MOST_UNREAD) socket.pause()
    })
    socket.on('close', () => {
      this.silence.end()
      this.fail('the connection was closed')
    })
    socket.on('error', (error) => this.fail(error.message))
  }

  /** @throws MigrateError FM_CONNECT_*, FM_AUTH_* */
  static async open(endpoint: MemcachedEndpoint): Promise<MemcachedLink> {
    const { username, password, connectTimeoutMs } = endpoint
    const name = `memcached://${endpoint.host}:${endpoint.port}`
    const socket = connect({ ...(await endpoint.locate()), noDelay: true })
    const opened = Promise.withResolvers<void>()
    const timer = setTimeout(
      () =>
        opened.reject(
          new MigrateError('FM_CONNECT_TIMEOUT', `${name} did not answer in time`, 'Check host, port and firewall.', {
            retryable: true,
          }),
        ),
      connectTimeoutMs,
    )
    socket.once('connect', () => opened.resolve())
    socket.once('error', (error: NodeJS.ErrnoException) => opened.reject(connectError(name, error)))
    try {
      await opened.promise
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
    const link = new MemcachedLink(socket, name, endpoint.silenceMs)
    const silence = setTimeout(() => link.fail('it accepts connections and does not answer'), connectTimeoutMs)
    try {
      if (password !== undefined) await link.authenticate(username ?? '', password)
      await link.greet()
    } catch (error) {
      link.close()
      throw error instanceof MigrateError && error.code === 'FM_CONNECT_LOST' ? link.mute(error) : error
    } finally {
      clearTimeout(silence)
    }
    return link
  }

  close(): void {
    this.socket.destroy()
  }

  private wake(): void {
    this.arrived.resolve()
    this.arrived = Promise.withResolvers<void>()
  }

  /** From now on the server says something only when it has something to say. */
  follow(): void {
    this.followed = true
  }

  private join(): void {
    const rest = this.data.subarray(this.at)
    this.data = rest.length === 0 && this.parts.length === 1 ? this.parts[0] : Buffer.concat([rest, ...this.parts])
    this.at = 0
    this.parts = []
    this.partBytes = 0
    this.wake()
  }

  private fail(text: string, code: 'FM_CONNECT_LOST' | 'FM_CONNECT_SILENT' = 'FM_CONNECT_LOST'): void {
    this.failure ??= new MigrateError(code, `${this.name}: ${text}`, 'It is tried again for --sync-timeout.', {
      retryable: true,
    })
    this.wake()
  }

  private async more(): Promise<void> {
    if (this.failure !== null) throw this.failure
    this.waiting = true
    this.socket.resume()
    await this.arrived.promise
    this.waiting = false
    if (this.failure !== null && this.at === this.data.length) throw this.failure
  }

  /** The next line without its end. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.data.indexOf(LF, this.at)
      if (end >= 0) {
        const text = this.data.toString('latin1', this.at, this.data[end - 1] === 13 ? end - 1 : end)
        this.at = end + 1
        return text
      }
      if (this.data.length - this.at > LINE_BYTES) throw this.strange('a line without an end')
      await this.more()
    }
  }

  /** Whole lines as they have arrived, ends included, at least one. A view. */
  async lines(): Promise<Buffer> {
    for (;;) {
      const end = this.data.lastIndexOf(LF)
      if (end >= this.at) {
        const lines = this.data.subarray(this.at, end + 1)
        this.at = end + 1
        return lines
      }
      if (this.data.length - this.at > LINE_BYTES) throw this.strange('a line without an end')
      await this.more()
    }
  }

  private async bytes(length: number): Promise<Buffer> {
    this.wanted = length + 2
    try {
      while (this.data.length - this.at < length + 2) await this.more()
    } finally {
      this.wanted = 0
    }
    if (this.data[this.at + length] !== CR || this.data[this.at + length + 1] !== LF)
      throw this.strange('an item that is longer than it says')
    const bytes = this.data.subarray(this.at, this.at + length)
    this.at += length + 2
    return bytes
  }

  send(text: string | Buffer): void {
    if (this.failure !== null) throw this.failure
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
  }

  async call(text: string): Promise<string> {
    this.send(`${text}\r\n`)
    return this.line()
  }

  /** `stats [what]` as a map. */
  async stats(what = ''): Promise<Map<string, string>> {
    this.send(`stats${what && ` ${what}`}\r\n`)
    const stats = new Map<string, string>()
    // Lines and not names are counted: the same one may come for ever.
    for (let lines = 0; lines < MOST_STATS; lines++) {
      const line = await this.line()
      if (line === 'END' || line === 'RESET') return stats
      const match = /^STAT (\S+) (.*)$/.exec(line)
      if (match === null) throw this.refused(line)
      stats.set(match[1], match[2])
    }
    throw this.strange('statistics without an end')
  }

  /** What the server takes for now, unix s. */
  async time(): Promise<number> {
    return Number((await this.stats()).get('time') ?? Math.floor(Date.now() / 1000))
  }

  /** A server of the binary protocol only judges a connection by its first 24 bytes, so that many are sent. */
  private async greet(): Promise<void> {
    this.send('version\r\nversion\r\nversion\r\n')
    for (let i = 0; i < 3; i++) {
      const line = await this.line()
      if (!line.startsWith('VERSION')) throw this.refused(line)
    }
  }

  private mute(cause: MigrateError): MigrateError {
    return new MigrateError(
      cause.code,
      `${cause.message} before it answered in the text protocol`,
      'A server with SASL knows the binary protocol only: --source-option protocol=binary and --source-option keys-file=FILE.',
      { cause, retryable: true },
    )
  }

  private async authenticate(username: string, password: string): Promise<void> {
    const secret = `${username} ${password}`
    // ASCII authentication: a "set" of any key with user and password is the login.
    this.send(`set auth 0 0 ${Buffer.byteLength(secret)}\r\n${secret}\r\n`)
    const answer = await this.line()
    if (answer === 'STORED') return
    throw new MigrateError(
      'FM_AUTH_REFUSED',
      `${this.name} refused the login`,
      'Check user and password; a server with SASL wants --source-option protocol=binary.',
    )
  }

  /** Items of these keys, null where there is none. Values are views that are valid until the next request. */
  async items(keys: readonly Buffer[]): Promise<(Item | null)[]> {
    this.send(metaGets(keys))
    const items: (Item | null)[] = []
    for (let i = 0; i < keys.length; i++) {
      // What has arrived whole is taken without a wait.
      const item = this.arrivedItem()
      if (item !== undefined) {
        items.push(item)
        continue
      }
      const line = await this.line()
      if (line.startsWith('VA ')) items.push(await this.item(line))
      else if (line.startsWith('EN')) items.push(null)
      else throw this.refused(line)
    }
    const end = await this.line()
    if (end !== 'MN') throw this.refused(end)
    return items
  }

  /** The next answer, where all of it is here; undefined = it is not, or is no item. */
  private arrivedItem(): Item | null | undefined {
    const { data } = this
    const end = data.indexOf(LF, this.at)
    if (end < 0) return undefined
    if (data[this.at] === 69 && data[this.at + 1] === 78) {
      this.at = end + 1
      return null
    }
    if (data[this.at] !== 86 || data[this.at + 1] !== 65) return undefined
    const number: Scanned = { at: this.at + 3, value: 0, negative: false }
    scan(data, number)
    const length = number.value
    if (length > MOST_BYTES || end + 1 + length + 2 > data.length) return undefined
    if (data[end + 1 + length] !== CR || data[end + 2 + length] !== LF) return undefined
    let flags = 0
    let ttl = -1
    while (number.at < end - 1) {
      const name = data[number.at + 1]
      number.at += 2
      scan(data, number)
      if (name === 102) flags = number.value
      else if (name === 116) ttl = number.negative ? -1 : number.value
      else while (number.at < end && data[number.at] > 32) number.at++
    }
    const value = data.subarray(end + 1, end + 1 + length)
    this.at = end + 1 + length + 2
    return { value, flags, ttl }
  }

  private async item(line: string): Promise<Item> {
    const words = line.split(' ')
    const length = Number(words[1])
    if (!Number.isInteger(length) || length < 0 || length > MOST_BYTES) throw this.strange(line)
    let flags = 0
    let ttl = -1
    for (let i = 2; i < words.length; i++) {
      const rest = words[i].slice(1)
      if (words[i].startsWith('f')) flags = Number(rest)
      else if (words[i].startsWith('t')) ttl = Number(rest)
    }
    return { value: await this.bytes(length), flags, ttl }
  }

  refused(line: string): MigrateError {
    if (/authentication|unauthenticated/i.test(line))
      return new MigrateError('FM_AUTH_REQUIRED', `${this.name} wants a password`, 'Give user and password in the URL.')
    return new MigrateError(
      'FM_SERVER_REFUSED',
      `${this.name} answered: ${line.slice(0, 120)}`,
      'Is it a Memcached of 1.6 or newer?',
    )
  }

  strange(what: string): MigrateError {
    return new MigrateError(
      'FM_MEMCACHED_PROTOCOL',
      `${this.name} does not answer as a Memcached: ${what.slice(0, 80)}`,
      'Check the port.',
    )
  }
}

interface Scanned {
  at: number
  value: number
  negative: boolean
}

/** A decimal number; `at` moves behind it. */
function scan(data: Buffer, number: Scanned): void {
  let { at } = number
  number.negative = data[at] === 45
  if (number.negative) at++
  let value = 0
  for (; data[at] >= 48 && data[at] <= 57; at++) value = value * 10 + data[at] - 48
  number.at = at
  number.value = value
}

const MG = Buffer.from('mg ')
const ASKED = Buffer.from(' v f t\r\n')
const ASKED_BINARY = Buffer.from(' b v f t\r\n')
const MN = Buffer.from('mn\r\n')

/** Keys with bytes that end a word travel as base64. */
function metaGets(keys: readonly Buffer[]): Buffer {
  let most = MN.length
  for (const key of keys) most += MG.length + Math.ceil(key.length / 3) * 4 + ASKED_BINARY.length
  const out = Buffer.allocUnsafe(most)
  let at = 0
  for (const key of keys) {
    at += MG.copy(out, at)
    let plain = key.length > 0 && key.length <= 250
    for (let i = 0; plain && i < key.length; i++) plain = key[i] > 32 && key[i] < 127
    if (plain) {
      at += key.copy(out, at)
      at += ASKED.copy(out, at)
    } else {
      at += out.write(key.toString('base64'), at, 'latin1')
      at += ASKED_BINARY.copy(out, at)
    }
  }
  at += MN.copy(out, at)
  return out.subarray(0, at)
}

/** Why there is no connection. */
export function connectError(name: string, error: NodeJS.ErrnoException): MigrateError {
  const [code, hint, retryable] =
    error.code === 'ECONNREFUSED'
      ? (['FM_CONNECT_REFUSED', 'Nothing listens there: check host and port.', true] as const)
      : error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN'
        ? (['FM_CONNECT_HOST', 'Check the name of the host.', false] as const)
        : (['FM_CONNECT_LOST', 'Check host, port and network.', true] as const)
  return new MigrateError(code, `${name}: ${error.message}`, hint, { cause: error, retryable })
}
