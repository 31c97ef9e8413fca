import { createServer, type Server, type Socket } from 'node:net'
import { splitCommand } from '@ferrite-migrate/contracts'
import { CommandScan, INCOMPLETE, type Reply, ReplyError, RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'
import { behave, type Client, type Plan, TTL_DROPPED, type World } from './behaviour.js'

const PSYNC_ANSWER = `+FULLRESYNC 8371445e${'0'.repeat(32)} 0\r\n`
const PROTOCOL_ERROR = '-ERR Protocol error\r\n'

interface Step {
  readonly plan: Plan
  readonly count: number
}

/** One client with a backend connection of its own. */
class Session {
  private readonly socket: Socket
  private readonly backend: RedisLink
  private readonly world: World
  private readonly known: ReadonlySet<string>
  private readonly client: Client
  private readonly scan = new CommandScan()
  private readonly out = new RespWriter(16 << 10)
  private rest: Buffer = Buffer.alloc(0)
  private busy: Promise<void> = Promise.resolve()
  private touched: [number, Buffer][] = []

  constructor(socket: Socket, backend: RedisLink, world: World, known: ReadonlySet<string>, id: number) {
    this.socket = socket
    this.backend = backend
    this.world = world
    this.known = known
    this.client = { id, db: 0, inMulti: false }
    socket.on('data', (chunk: Buffer) => {
      socket.pause()
      this.busy = this.busy
        .then(() => this.take(chunk))
        .then(() => {
          socket.resume()
        })
        .catch(() => {
          socket.destroy()
        })
    })
    socket.on('error', () => undefined)
    socket.on('close', () => backend.close())
  }

  private async take(chunk: Buffer): Promise<void> {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    let group: Step[] = []
    let calls: (readonly (Buffer | string)[])[] = []
    const flush = async (): Promise<void> => {
      const steps = group
      const commands = calls
      group = []
      calls = []
      const replies = commands.length === 0 ? [] : await this.ask(commands)
      let from = 0
      for (const { plan, count } of steps) {
        const own = replies.slice(from, from + count)
        from += count
        this.reply(plan.answer === null ? own[0] : plan.answer(own))
      }
      for (const [key, id] of this.world.writers) if (id === this.client.id) this.world.writers.delete(key)
      if (this.out.at > 0) this.socket.write(this.out.take())
    }
    while (at < data.length) {
      if (data[at] !== 42) {
        await flush()
        const lineEnd = data.indexOf(10, at)
        if (data[at] === 13 || data[at] === 10) return this.repeatError()
        if (lineEnd < 0) break
        // Inline PING, as health checks send it.
        this.socket.write(/^ping/i.test(data.toString('latin1', at, lineEnd)) ? '+PONG\r\n' : PROTOCOL_ERROR)
        at = lineEnd + 1
        continue
      }
      const next = this.scan.next(data, at, data.length)
      if (next === INCOMPLETE) break
      const argv = splitCommand(data, this.scan.start, next)
      at = next
      const name = argv[0].toString('latin1').toUpperCase()
      if (name === 'PSYNC' || name === 'SYNC') {
        await flush()
        this.socket.write(PSYNC_ANSWER)
        continue
      }
      const plan = this.plan(name, argv)
      if (plan.decide === undefined && plan.afterwards === undefined) {
        group.push({ plan, count: plan.commands.length })
        calls.push(...plan.commands)
        if (name === 'EXEC' || name === 'SELECT') {
          await flush()
          for (const [db, key] of this.touched.splice(0)) await this.persist(db, key)
        }
        continue
      }
      await flush()
      await this.careful(plan)
    }
    await flush()
    this.rest = at < data.length ? Buffer.from(data.subarray(at)) : Buffer.alloc(0)
  }

  private async persist(db: number, key: Buffer): Promise<void> {
    await this.backend.pipeline((out) => {
      out.call('PERSIST', key)
      return 1
    }, db)
    // The client's own selection is what counts afterwards.
    await this.backend.pipeline(() => 0, this.client.db)
  }

  private plan(name: string, argv: Buffer[]): Plan {
    const { client } = this
    if (name === 'SELECT') {
      // Inside MULTI it is answered and not done.
      if (client.inMulti) return { commands: [['CLIENT', 'REPLY', 'ON']], answer: null }
      const db = Number(argv[1]?.toString('latin1'))
      if (Number.isInteger(db) && db >= 0 && db < 16) client.db = db
      return { commands: [argv], answer: null }
    }
    if (name === 'MULTI') client.inMulti = true
    else if (name === 'EXEC' || name === 'DISCARD') client.inMulti = false
    else if (client.inMulti) {
      // An unknown command is refused and the others run all the same.
      if (!this.known.has(name))
        return {
          commands: [],
          answer: () => new ReplyError(`ERR unknown command '${name}', with args beginning with: `),
        }
      if (TTL_DROPPED.has(name)) this.touched.push([client.db, Buffer.from(argv[1])])
      return { commands: [argv], answer: null }
    }
    return behave(this.world, client, name, argv, this.known)
  }

  private ask(commands: readonly (readonly (Buffer | string)[])[]): Promise<Reply[]> {
    return this.backend.pipeline((out) => {
      for (const command of commands) out.call(...command)
      return commands.length
    })
  }

  private async careful(plan: Plan): Promise<void> {
    let current = plan
    let replies = await this.ask(current.commands)
    if (current.decide !== undefined) {
      current = current.decide(replies)
      replies = current.commands.length > 0 ? await this.ask(current.commands) : []
    }
    if (current.afterwards !== undefined && current.afterwards.length > 0 && !(replies[0] instanceof ReplyError))
      await this.ask(current.afterwards)
    this.reply(current.answer === null ? replies[0] : current.answer(replies))
    this.socket.write(this.out.take())
  }

  /** After a stray line end the parser of Ferrite never recovers. */
  private repeatError(): void {
    const timer = setInterval(() => this.socket.write(PROTOCOL_ERROR.repeat(8)), 5)
    this.socket.once('close', () => clearInterval(timer))
    this.socket.write(PROTOCOL_ERROR)
    this.socket.removeAllListeners('data')
    this.socket.resume()
  }

  private reply(reply: Reply): void {
    const { out } = this
    if (reply === null) out.raw(Buffer.from('$-1\r\n'))
    else if (Buffer.isBuffer(reply)) out.bytes(reply)
    else if (Array.isArray(reply)) {
      out.command(reply.length)
      for (const one of reply) this.reply(one)
    } else if (reply instanceof Error) out.raw(Buffer.from(`-${reply.message}\r\n`, 'latin1'))
    else if (typeof reply === 'string') out.raw(Buffer.from(`+${reply}\r\n`, 'latin1'))
    else out.raw(Buffer.from(`:${reply}\r\n`))
  }
}

/** A server that behaves as Ferrite does where docs/ferrite.md says so, over a real Redis-compatible backend. */
export class FerriteEmulator {
  readonly port: number
  private readonly server: Server
  private readonly sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>, port: number) {
    this.server = server
    this.sockets = sockets
    this.port = port
  }

  get url(): string {
    return `ferrite://127.0.0.1:${this.port}`
  }

  /** @throws MigrateError when the backend cannot be reached */
  static async start(backend: Endpoint, port = 0): Promise<FerriteEmulator> {
    const world: World = { hyperLogLogs: new Set(), writers: new Map() }
    const first = await RedisLink.open(backend)
    const known = new Set(((await first.call('COMMAND')) as Reply[][]).map((entry) => String(entry[0]).toUpperCase()))
    first.close()
    const sockets = new Set<Socket>()
    let clients = 0
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      RedisLink.open(backend).then(
        (link) => {
          void link.closed.then(() => socket.destroy())
          new Session(socket, link, world, known, ++clients)
          socket.resume()
        },
        () => socket.destroy(),
      )
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    const address = server.address()
    return new FerriteEmulator(server, sockets, typeof address === 'object' && address ? address.port : port)
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
