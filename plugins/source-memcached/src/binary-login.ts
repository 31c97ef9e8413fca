import { connect } from 'node:net'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { MemcachedEndpoint } from './memcached-endpoint.js'
import { connectError } from './memcached-link.js'

const REQUEST = 0x80
const RESPONSE = 0x81
const NOOP = 0x0a
const SASL_AUTH = 0x21
const UNAUTHENTICATED = 0x20
const HEADER_BYTES = 24

/**
 * Asks a server of the binary protocol whether it lets this user in, since the client library does not tell why it was
 * refused (protocol_binary, SASL PLAIN of RFC 4616).
 * @throws MigrateError FM_CONNECT_*, FM_AUTH_*, FM_SERVER_REFUSED
 */
export async function checkBinaryLogin(endpoint: MemcachedEndpoint): Promise<void> {
  const { username, password } = endpoint
  const status = await ask(
    endpoint,
    password === undefined ? request(NOOP, '', '') : request(SASL_AUTH, 'PLAIN', `\0${username ?? ''}\0${password}`),
  )
  if (status === 0) return
  const name = `memcached://${endpoint.host}:${endpoint.port}`
  // A server without SASL does not know the command, and needs none.
  if (status !== UNAUTHENTICATED) return
  throw password === undefined
    ? new MigrateError('FM_AUTH_REQUIRED', `${name} wants a password`, 'Give user and password in the URL.')
    : new MigrateError('FM_AUTH_REFUSED', `${name} refused the login`, 'Check user and password.')
}

function request(opcode: number, key: string, value: string): Buffer {
  const body = Buffer.from(key + value)
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = REQUEST
  header[1] = opcode
  header.writeUInt16BE(Buffer.byteLength(key), 2)
  header.writeUInt32BE(body.length, 8)
  return Buffer.concat([header, body])
}

/** Sends one request; gives the status of the answer. */
async function ask(
  { host, port, locate, connectTimeoutMs }: Pick<MemcachedEndpoint, 'host' | 'port' | 'locate' | 'connectTimeoutMs'>,
  message: Buffer,
): Promise<number> {
  const name = `memcached://${host}:${port}`
  const address = await locate()
  const strange = (): MigrateError =>
    new MigrateError(
      'FM_SERVER_REFUSED',
      `${name} does not speak the binary protocol`,
      'Leave --source-option protocol=binary out.',
    )
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true }, () => socket.write(message))
    const timer = setTimeout(() => {
      reject(new MigrateError('FM_CONNECT_TIMEOUT', `${name} did not answer in time`, 'Check host, port and firewall.'))
      socket.destroy()
    }, connectTimeoutMs)
    let data = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      data = Buffer.concat([data, chunk])
      if (data[0] !== RESPONSE) reject(strange())
      else if (data.length >= HEADER_BYTES) resolve(data.readUInt16BE(6))
      else return
      socket.destroy()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => reject(connectError(name, error)))
    socket.once('close', () => {
      clearTimeout(timer)
      reject(strange())
    })
  })
}
