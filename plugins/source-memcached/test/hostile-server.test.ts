import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { MemcachedLink } from '../dist/memcached-link.js'

const servers: Server[] = []
const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

/** A Memcached that greets as it should and answers everything else with these pieces, the last one for ever. */
async function link(...answer: string[]): Promise<MemcachedLink> {
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      const text = data.toString('latin1')
      if (text.startsWith('version')) return void socket.write('VERSION 1.6.0\r\n'.repeat(3))
      const last = answer[answer.length - 1]
      for (const piece of answer.slice(0, -1)) socket.write(piece)
      const flood = (): void => {
        if (last === '' || socket.destroyed) return
        let more = true
        while (more) more = socket.write(last)
        socket.once('drain', flood)
      }
      flood()
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return MemcachedLink.open({
    host: '127.0.0.1',
    port,
    locate: async () => ({ host: '127.0.0.1', port }),
    username: undefined,
    password: undefined,
    connectTimeoutMs: 2000,
    silenceMs: 500,
  })
}

describe('a Memcached', () => {
  it.each([
    ['a line without end', ['A'.repeat(4096)]],
    ['statistics without end', ['STAT a b\r\n'.repeat(100)]],
    ['statistics that repeat one name', ['STAT same 1\r\n'.repeat(100)]],
    ['other names for ever', ['STAT x 1\r\nSTAT y 2\r\n'.repeat(50)]],
  ])('that answers with %s is left, with a bounded memory', async (_name, answer) => {
    const there = await link(...answer)
    const before = process.memoryUsage.rss()
    await expect(there.stats()).rejects.toMatchObject({ code: expect.stringMatching(/^FM_/) })
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 << 20)
    there.close()
  })

  it('that falls silent in the middle of an answer is left', async () => {
    const there = await link('STAT a b\r\nSTAT', '')
    await expect(there.stats()).rejects.toMatchObject({ code: 'FM_CONNECT_SILENT', retryable: true })
    there.close()
  })
})
