import type { MigrationService } from '@ferrite-migrate/api'
import { RpcSession } from '@ferrite-migrate/api'
import type { Logger } from '@ferrite-migrate/contracts'
import type { WebSocket } from 'ws'

/** A client that has this much to read is not told more until it reads. */
const FULL_BYTES = 1 << 20
/** Requests of one client that are worked on at once. */
const AT_ONCE = 100
const PING_MS = 30_000
/** As RFC 6455 has them. */
const Close = { unsupported: 1003, tooMuch: 1008 } as const

/** Speaks the protocol over one WebSocket, a message a frame, until it is closed. What it began goes on: it belongs to the service. */
export function speak(socket: WebSocket, service: MigrationService, logger: Logger): void {
  const full = (): boolean => socket.bufferedAmount > FULL_BYTES
  const send = (message: object): void => {
    if (socket.readyState !== socket.OPEN) return
    socket.send(JSON.stringify(message), () => {
      if (socket.isPaused && !full()) socket.resume()
    })
    // Whoever does not read his answers is not asked for more questions; one that never does is cut off, since his pongs stay unread as well.
    if (full()) socket.pause()
  }
  const session = new RpcSession({ service, logger, send, full })
  let working = 0
  let alive = true
  const pinging = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    socket.ping()
  }, PING_MS)
  socket.on('pong', () => {
    alive = true
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(pinging)
    session.close()
  })
  socket.on('message', (data, binary) => {
    if (binary) return socket.close(Close.unsupported, 'messages are text')
    if (working >= AT_ONCE) return socket.close(Close.tooMuch, 'too many questions at once')
    working++
    void session.take(String(data)).then((response) => {
      working--
      if (response !== null) send(response)
    })
  })
}
