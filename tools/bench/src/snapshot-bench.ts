import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, RedisLink, readInfo } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { emptyServer } from './empty-server.js'
import { countDifferences } from './equality.js'
import { inTurn, type Measured, median } from './measure.js'
import { peers } from './peers.js'
import { runTool } from './tool.js'

export interface Row {
  readonly job: string
  readonly tool: string
  readonly wallS: number
  readonly cpuS: number | null
  readonly rssMb: number | null
  readonly differences: number | null
}

const PEER_ROUNDS = 3

/** Native replication: from REPLICAOF to a link that is up. */
async function native(source: TestServer, target: TestServer): Promise<number> {
  const link = await RedisLink.open(parseEndpoint(target.url))
  const startedAt = performance.now()
  await link.call('REPLICAOF', '127.0.0.1', source.port)
  for (;;) {
    const info = await readInfo(link, 'replication').catch(() => new Map<string, string>())
    if (info.get('master_link_status') === 'up') break
    await sleep(20)
  }
  const wall = performance.now() - startedAt
  await link.call('REPLICAOF', 'NO', 'ONE')
  link.close()
  return wall
}

/** One data set from one server to another: native replication, ours and the peers, interleaved; medians. */
export async function benchSnapshot(
  job: string,
  source: TestServer,
  target: TestServer,
  rounds: number,
  withPeers: boolean,
): Promise<Row[]> {
  const rows: Row[] = []
  const nativeMs: number[] = []
  const ours: Measured[] = []
  let differences = 0
  // A server of its own: who was a replica once keeps a backlog, which makes each later write dearer.
  const replica = await TestServer.start()
  const runNative = async (): Promise<void> => {
    await emptyServer(replica.url)
    nativeMs.push(await native(source, replica))
  }
  const runOurs = async (): Promise<void> => {
    await emptyServer(target.url)
    const run = await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot'])
    if (run.code !== 0) throw new Error(`ferrite-migrate failed: ${run.output}`)
    ours.push(run)
    if (ours.length === 1) differences = await countDifferences(source.url, target.url)
  }
  // Whoever comes second finds the memory that the first one left: so they take turns.
  try {
    for (let round = 0; round < rounds; round++)
      for (const run of round % 2 === 0 ? [runNative, runOurs] : [runOurs, runNative]) await run()
  } finally {
    await replica.stop()
  }
  rows.push({
    job,
    tool: 'native REPLICAOF',
    wallS: median(nativeMs) / 1000,
    cpuS: null,
    rssMb: null,
    differences: null,
  })
  rows.push({
    job,
    tool: 'ferrite-migrate',
    wallS: median(ours.map((run) => run.wallMs)) / 1000,
    cpuS: median(ours.map((run) => run.cpuMs)) / 1000,
    rssMb: median(ours.map((run) => run.rssMb)),
    differences,
  })
  if (withPeers)
    for (const peer of peers()) {
      // Much slower, and no less the same from one run to the next: fewer rounds will do.
      const [runs] = await inTurn(Math.min(rounds, PEER_ROUNDS), [
        async () => {
          await emptyServer(target.url)
          return peer.snapshot(source, target)
        },
      ])
      rows.push({
        job,
        tool: peer.name,
        wallS: median(runs.map((run) => run.wallMs)) / 1000,
        cpuS: median(runs.map((run) => run.cpuMs)) / 1000,
        rssMb: median(runs.map((run) => run.rssMb)),
        differences: await countDifferences(source.url, target.url),
      })
    }
  return rows
}
