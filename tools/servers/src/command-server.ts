import { connect, createServer, type Server, type Socket } from 'node:net'
import { splitCommand } from '@ferrite-migrate/contracts'
import { CommandScan, INCOMPLETE, ReplyCounter } from '@ferrite-migrate/protocol'

/** One client of a CommandServer. */
export class CommandSession {
  /** What a test wants to remember of this client. */
  readonly notes = new Map<string, string>()
  readonly socket: Socket
  private readonly backend: Socket | null
  private arrived: Buffer[] = []
  private replied: (() => void) | null = null
  private readonly counter = new ReplyCounter(
    () => undefined,
    () => undefined,
  )

  constructor(socket: Socket, backendUrl: string | null) {
    this.socket = socket
    this.backend = backendUrl === null ? null : connect(Number(new URL(backendUrl).port), '127.0.0.1')
    this.backend?.on('error', () => socket.destroy())
    this.backend?.on('close', () => socket.destroy())
    this.backend?.on('data', (chunk) => {
      const before = this.counter.count
      // What nobody asked for is a message to a subscriber.
      if (this.replied === null) socket.write(chunk)
      this.arrived.push(chunk)
      this.counter.push(chunk)
      if (this.counter.count > before) this.replied?.()
    })
    socket.on('close', () => this.backend?.destroy())
  }

  /** Asks the server behind this one; gives its reply as it came. */
  async forward(command: readonly (Buffer | string)[]): Promise<Buffer> {
    const { backend } = this
    if (backend === null) throw new Error('nobody stands behind this server')
    this.arrived = []
    const replied = new Promise<void>((resolve) => {
      this.replied = resolve
    })
    backend.write(
      Buffer.concat([
        Buffer.from(`*${command.length}\r\n`),
        ...command.flatMap((word) => {
          const bytes = Buffer.from(word)
          return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]
        }),
      ]),
    )
    await replied
    this.replied = null
    return Buffer.concat(this.arrived)
  }
}

/** Gives the reply in RESP; null = none. */
export type CommandAnswer = (words: readonly Buffer[], session: CommandSession) => Promise<Buffer | string | null>

/** A server that answers as a test wants it, for servers and proxies that misbehave; with another one behind it, or alone. */
export class CommandServer {
  readonly url: string
  private readonly server: Server
  private readonly sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.server = server
    this.sockets = sockets
    this.url = `redis://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  static async start(answer: CommandAnswer, backendUrl: string | null = null): Promise<CommandServer> {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      const session = new CommandSession(socket, backendUrl)
      const scan = new CommandScan()
      let rest: Buffer = Buffer.alloc(0)
      let turn: Promise<void> = Promise.resolve()
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        const data = Buffer.concat([rest, chunk])
        let at = 0
        for (;;) {
          const next = scan.next(data, at, data.length)
          if (next === INCOMPLETE) break
          const words = splitCommand(data, scan.start, next)
          at = next
          turn = turn
            .then(() => answer(words, session))
            .then(
              (reply) => {
                if (reply !== null && !socket.destroyed) socket.write(reply)
              },
              () => void socket.destroy(),
            )
        }
        rest = data.subarray(at)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new CommandServer(server, sockets)
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }
}
