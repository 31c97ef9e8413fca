import { connect } from 'node:net'

const PROBE_MS = 1000

/** True when a server at this place answers a PING without TLS: it will never answer a handshake. */
export function answersPlainly(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (plain: boolean): void => {
      socket.destroy()
      resolve(plain)
    }
    socket.setTimeout(PROBE_MS, () => end(false))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
    socket.once('connect', () => socket.write('*1\r\n$4\r\nPING\r\n'))
    socket.once('data', (data) => end(/^(\+PONG|-[A-Z]+ )/.test(data.toString('latin1', 0, 40))))
  })
}
