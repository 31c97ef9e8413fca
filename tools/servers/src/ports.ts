import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/** Where Linux says which ports it gives to outgoing connections. */
const EPHEMERAL = '/proc/sys/net/ipv4/ip_local_port_range'
const LOWEST = 10_000
const FEWEST = 1000

/** A free TCP port on loopback. */
export function freePort(): Promise<number> {
  return listenOnce(0)
}

const given = new Set<number>()

/**
 * A free TCP port that no outgoing connection takes while its server is down, where the system keeps such: for servers that
 * are killed and started again at the same place. Given once in a process.
 */
export async function lastingPort(): Promise<number> {
  const range = existsSync(EPHEMERAL) ? readFileSync(EPHEMERAL, 'utf8') : ''
  const count = Number.parseInt(range, 10) - LOWEST
  if (!(count >= FEWEST)) return freePort()
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * count)
    if (given.has(port)) continue
    given.add(port)
    const free = await listenOnce(port).catch(() => null)
    if (free !== null) return free
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
