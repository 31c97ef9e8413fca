import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MigrationService } from '@ferrite-migrate/api'
import { Registry } from '@ferrite-migrate/core'
import { expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { speak } from '../src/http/web-socket.js'

/** A text frame as a client sends it, masked with zeros. */
function frame(text: string): Buffer {
  const body = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0]), body])
}

it('asks a client that does not read its answers for no more questions, and goes on when it reads', async () => {
  const logger = { log: () => undefined, enabled: () => false }
  const stateDir = mkdtempSync(join(tmpdir(), 'fm-ws-'))
  const service = new MigrationService({
    stateDir,
    registry: new Registry([]),
    logger,
    version: '1',
    allowHooks: false,
    allowSecretPlaces: false,
  })
  const http = createServer()
  const server = new WebSocketServer({ server: http })
  let most = 0
  const watched = new Promise<() => number>((done) =>
    server.on('connection', (socket) => {
      speak(socket, service, logger)
      done(() => socket.bufferedAmount)
    }),
  )
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
  const client = connect((http.address() as AddressInfo).port, '127.0.0.1')
  client.write(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  const buffered = await watched
  client.pause()
  // Each answer is thirty times its question.
  const batch = `[${Array.from({ length: 900 }, () => '7').join(',')}]`
  const questions = Buffer.concat(Array.from({ length: 400 }, () => frame(batch)))
  client.write(questions)
  for (let look = 0; look < 20; look++) {
    most = Math.max(most, buffered())
    await sleep(50)
  }
  expect(most).toBeGreaterThan(1 << 20)
  expect(most).toBeLessThan(16 << 20)
  let read = 0
  client.on('data', (data) => {
    read += data.length
  })
  client.resume()
  const whole = 400 * 900 * 60
  while (read < whole) await sleep(20)
  client.destroy()
  server.close()
  http.close()
  service.close()
})
