import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { type DatasetName, fill } from './dataset.js'
import type { FileRow } from './files-bench.js'
import { inTurn, type Measured, median, runMeasured } from './measure.js'
import { measureTool, runTool } from './tool.js'

/** Full two-way verification of equal servers: ours, and the peer that REDIS_FULL_CHECK_BIN names. */
export async function benchVerify(name: DatasetName, keys: number, rounds: number): Promise<FileRow[]> {
  const source = await TestServer.start()
  const target = await TestServer.start()
  const job = `verify, ${name} ${keys.toLocaleString('en-US')} keys`
  const row = (tool: string, runs: readonly Measured[], checked: string): FileRow => ({
    job,
    tool,
    wallS: median(runs.map((run) => run.wallMs)) / 1000,
    cpuS: median(runs.map((run) => run.cpuMs)) / 1000,
    rssMb: median(runs.map((run) => run.rssMb)),
    checked,
  })
  try {
    await fill(parseEndpoint(source.url), name, keys)
    const copied = await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot'])
    if (copied.code !== 0) throw new Error(copied.output)
    const peer = process.env.REDIS_FULL_CHECK_BIN
    const folder = mkdtempSync(join(tmpdir(), 'fm-rfc-'))
    const args = ['-s', `127.0.0.1:${source.port}`, '-t', `127.0.0.1:${target.port}`, '-m', '1', '--comparetimes=1']
    const [ours, peers] = await inTurn(rounds, [
      () => measureTool(['verify', '--source', source.url, '--target', target.url]),
      ...(peer === undefined ? [] : [() => runMeasured(peer, args, 300_000, folder)]),
    ])
    for (const run of ours) if (run.code !== 0) throw new Error(run.output)
    const rows = [row('ferrite-migrate verify, both ways, with expiries', ours, 'equal')]
    if (peers !== undefined) rows.push(row('RedisFullCheck -m 1, one way', peers, '-'))
    const link = await RedisLink.open(parseEndpoint(target.url))
    await link.call('SET', 'planted', '1')
    link.close()
    const planted = await measureTool(['verify', '--source', source.url, '--target', target.url, '--rounds', '1'])
    if (planted.code !== 3) throw new Error(`a planted key was not found: ${planted.output}`)
    return rows
  } finally {
    await source.stop()
    await target.stop()
  }
}
