import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { fill } from './dataset.js'
import { emptyServer } from './empty-server.js'
import { countDifferences } from './equality.js'
import { inTurn, type Measured, median, runMeasured } from './measure.js'
import { measureTool } from './tool.js'

export interface FileRow {
  readonly job: string
  readonly tool: string
  readonly wallS: number
  readonly cpuS: number
  readonly rssMb: number
  readonly checked: string
}

const TIMEOUT_MS = 300_000

const ours = (...args: string[]): Promise<Measured> => measureTool(args)

function row(job: string, tool: string, runs: readonly Measured[], checked: string): FileRow {
  for (const run of runs) if (run.code !== 0) throw new Error(`${tool}: ${run.output}`)
  return {
    job,
    tool,
    wallS: median(runs.map((run) => run.wallMs)) / 1000,
    cpuS: median(runs.map((run) => run.cpuMs)) / 1000,
    rssMb: median(runs.map((run) => run.rssMb)),
    checked,
  }
}

/** An RDB of this many bytes and more, of strings of 1 KiB, written without a server. */
function writeLargeFile(path: string, bytes: number): number {
  const file = openSync(path, 'w')
  const value = Buffer.alloc(1024, 'x')
  const record = Buffer.concat([Buffer.from([0, 20]), Buffer.alloc(20), Buffer.from([0x44, 0x00]), value])
  const block = Buffer.alloc(record.length * 1000)
  let keys = 0
  writeSync(file, Buffer.from('REDIS0009\xfe\x00', 'latin1'))
  for (let written = 0; written < bytes; written += block.length) {
    for (let i = 0; i < 1000; i++) {
      record.write(`key:${String(keys++).padStart(16, '0')}`, 2, 'latin1')
      record.copy(block, i * record.length)
    }
    writeSync(file, block)
  }
  // No checksum: eight zeros.
  writeSync(file, Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 0]))
  closeSync(file)
  return keys
}

/** Looking into and loading files: ours, and the peers that HDT_RDB_BIN and RDB_CLI_BIN name. */
export async function benchFiles(keys: number, rounds: number): Promise<FileRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'fm-files-'))
  const source = await TestServer.start()
  const target = await TestServer.start()
  const rows: FileRow[] = []
  try {
    await fill(parseEndpoint(source.url), 'mixed', keys)
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.call('SAVE')
    link.close()
    const file = join(folder, 'mixed.rdb')
    copyFileSync(join(source.directory, 'dump.rdb'), file)
    const job = `RDB of ${keys.toLocaleString('en-US')} keys, ${Math.round(statSync(file).size / 2 ** 20)} MB`
    const hdt = process.env.HDT_RDB_BIN
    const memory = ['-c', 'memory', '-o', join(folder, 'memory.csv'), file]
    const [analyses, peers] = await inTurn(rounds, [
      () => ours('analyze-rdb', file),
      ...(hdt === undefined ? [] : [() => runMeasured(hdt, memory, TIMEOUT_MS)]),
    ])
    rows.push(row(`analyze, ${job}`, 'ferrite-migrate analyze-rdb', analyses, '-'))
    if (peers !== undefined) rows.push(row(`analyze, ${job}`, 'HDT3213/rdb -c memory', peers, '-'))
    const importing = async (run: () => Promise<Measured>): Promise<Measured> => {
      await emptyServer(target.url)
      return run()
    }
    const state = ['--state-dir', folder]
    const [runs] = await inTurn(rounds, [
      () => importing(() => ours('import-rdb', file, '--target', target.url, ...state)),
    ])
    rows.push(
      row(
        `import, ${job}`,
        'ferrite-migrate import-rdb',
        runs,
        `${await countDifferences(source.url, target.url)} differences`,
      ),
    )
    const rdbCli = process.env.RDB_CLI_BIN
    if (rdbCli !== undefined)
      rows.push(
        row(
          `import, ${job}`,
          'librdb rdb-cli',
          [
            await importing(() =>
              runMeasured(rdbCli, [file, 'redis', '-h', '127.0.0.1', '-p', String(target.port)], TIMEOUT_MS),
            ),
          ],
          `${await countDifferences(source.url, target.url)} differences`,
        ),
      )
    rmSync(file)
    const large = join(folder, 'large.rdb')
    const expected = writeLargeFile(large, 2 * 2 ** 30)
    const run = await ours('analyze-rdb', large, '--json')
    const found = (JSON.parse(run.output.slice(run.output.indexOf('{'))) as { keys: number }).keys
    rows.push(
      row(
        'analyze, RDB of 2 GB',
        'ferrite-migrate analyze-rdb',
        [run],
        `${found === expected ? 'all' : `${found} of ${expected}`} keys`,
      ),
    )
    return rows
  } finally {
    await source.stop()
    await target.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
