import { chmodSync } from 'node:fs'
import { createServer, type Server } from 'node:net'

/**
 * What Cyrus SASL asks for passwords: a Unix socket that gets user, password, service and realm, each after its length in
 * two bytes, and answers OK or NO in the same form (saslauthd(8), "mux").
 */
export class Saslauthd {
  private readonly server: Server

  private constructor(server: Server) {
    this.server = server
  }

  /** Knows one user. */
  static async start(path: string, user: string, password: string): Promise<Saslauthd> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let data = Buffer.alloc(0)
      socket.on('data', (chunk) => {
        data = Buffer.concat([data, chunk])
        const strings = counted(data)
        if (strings === null) return
        const answer = Buffer.from(strings[0] === user && strings[1] === password ? '..OK' : '..NO')
        answer.writeUInt16BE(2, 0)
        socket.end(answer)
      })
      socket.on('error', () => socket.destroy())
    })
    await new Promise<void>((listening) => server.listen(path, listening))
    // The Memcached runs as somebody else.
    chmodSync(path, 0o777)
    return new Saslauthd(server)
  }

  stop(): Promise<void> {
    return new Promise((closed) => this.server.close(() => closed()))
  }
}

/** The four strings; null = not all of them have come. */
function counted(data: Buffer): string[] | null {
  const strings: string[] = []
  let at = 0
  while (strings.length < 4) {
    if (at + 2 > data.length) return null
    const end = at + 2 + data.readUInt16BE(at)
    if (end > data.length) return null
    strings.push(data.toString('utf8', at + 2, end))
    at = end
  }
  return strings
}
