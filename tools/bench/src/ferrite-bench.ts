import { once } from 'node:events'
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ReplyCounter } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import type { TestServer } from '@ferrite-migrate/servers'
import { emptyServer } from './empty-server.js'
import { countDifferences } from './equality.js'
import { inTurn, median } from './measure.js'
import { runTool } from './tool.js'

export interface FerriteRow {
  readonly job: string
  readonly tool: string
  readonly wallS: number
  readonly ratio: number
  readonly cpuS: number | null
  readonly rssMb: number | null
  readonly differences: number | null
}

/** Records what the tool sends to this target on the connection that carries the data, to be sent again as it is. */
async function record(source: TestServer, target: string, folder: string): Promise<string> {
  const { port } = parseEndpoint(target)
  const connections: { file: string; bytes: number; closed: Promise<unknown> }[] = []
  const proxy = createServer((client) => {
    const file = join(folder, `connection-${connections.length}.resp`)
    const out = createWriteStream(file)
    const connection = { file, bytes: 0, closed: once(out, 'close') }
    connections.push(connection)
    client.on('error', () => undefined)
    client.on('close', () => out.end())
    void RedisLink.open(parseEndpoint(target)).then((link) => {
      link.takeOver((data) => client.write(data))
      client.on('data', (data) => {
        connection.bytes += data.length
        out.write(data)
        if (!link.send(data)) {
          client.pause()
          link.socket.once('drain', () => client.resume())
        }
      })
      client.on('close', () => link.close())
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  const via = typeof address === 'object' && address ? address.port : port
  const run = await runTool(
    ['-s', source.url, '-t', target.replace(`:${port}`, `:${via}`), '-m', 'snapshot', '-p', '1'],
    600_000,
  )
  proxy.close()
  await Promise.all(connections.map(({ closed }) => closed))
  if (run.code !== 0) throw new Error(run.output)
  return connections.reduce((largest, one) => (one.bytes > largest.bytes ? one : largest)).file
}

async function pipe(file: string, target: string): Promise<number> {
  const endpoint = parseEndpoint(target)
  const link = await RedisLink.open(endpoint)
  const startedAt = performance.now()
  const counter = new ReplyCounter(
    () => undefined,
    () => undefined,
  )
  link.takeOver((data) => counter.push(data))
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }))
    if (!link.send(chunk as Buffer)) await once(link.socket, 'drain')
  // A last command whose effect shows that all before it were done.
  const sentinel = `__ferrite_migrate__:bench:${Date.now()}`
  link.send(Buffer.from(`*3\r\n$3\r\nSET\r\n$${sentinel.length}\r\n${sentinel}\r\n$1\r\n1\r\n`))
  const look = await RedisLink.open(endpoint)
  while ((await look.call('EXISTS', sentinel)) !== 1) await new Promise((resolve) => setTimeout(resolve, 10))
  const wall = performance.now() - startedAt
  await look.call('DEL', sentinel)
  look.close()
  link.close()
  return wall
}

/** Ours into Ferrite against the same commands, made before and piped through one socket, in turn; medians. */
export async function benchFerrite(
  source: TestServer,
  target: string,
  keys: number,
  label: string,
  rounds: number,
): Promise<FerriteRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'fm-pipe-'))
  const job = `mixed ${keys.toLocaleString('en-US')} -> ${label}`
  try {
    const file = await record(source, target, folder)
    const [piped, ours] = await inTurn(rounds, [
      async () => {
        await emptyServer(target)
        return { wallMs: await pipe(file, target), cpuMs: 0, rssMb: 0, code: 0, output: '' }
      },
      async () => {
        await emptyServer(target)
        const run = await runTool(['-s', source.url, '-t', target, '-m', 'snapshot'], 600_000)
        if (run.code !== 0) throw new Error(run.output)
        return run
      },
    ])
    const differences = await countDifferences(source.url, target, true)
    const pipedMs = median(piped.map((run) => run.wallMs))
    const wallMs = median(ours.map((run) => run.wallMs))
    return [
      {
        job,
        tool: 'pre-encoded, one socket',
        wallS: pipedMs / 1000,
        ratio: 1,
        cpuS: null,
        rssMb: null,
        differences: null,
      },
      {
        job,
        tool: 'ferrite-migrate',
        wallS: wallMs / 1000,
        ratio: wallMs / pipedMs,
        cpuS: median(ours.map((run) => run.cpuMs)) / 1000,
        rssMb: median(ours.map((run) => run.rssMb)),
        differences,
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
