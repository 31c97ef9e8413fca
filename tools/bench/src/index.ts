import { appendFileSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { benchClusterCutover, benchClusterLive, benchClusterSnapshot, benchHandover } from './cluster-bench.js'
import { type DatasetName, fill } from './dataset.js'
import { benchFerrite } from './ferrite-bench.js'
import { benchFiles } from './files-bench.js'
import { benchCutover, benchResume, benchStall } from './lifecycle-bench.js'
import { benchWrites, type Follower, type LiveRow, type Load } from './live-bench.js'
import { processUse } from './measure.js'
import { peers } from './peers.js'
import { benchManyShards, benchQueueLive } from './queue-bench.js'
import { benchMemcached, benchRows } from './rows-bench.js'
import { benchSnapshot, type Row } from './snapshot-bench.js'
import { benchState } from './state-bench.js'
import { LiveTool } from './tool.js'
import { benchEngines, benchNames } from './transform-bench.js'
import { benchVerify } from './verify-bench.js'

/**
 * npm run bench -- [snapshot] [large] [binary] [tiny] [ferrite] [live] [state] [lifecycle] [cluster] [queue] [files] [verify] [transform] [rows] [--keys N] [--rounds N]: without names, all of them.
 * Results are appended to docs/benchmarks.md under machine and date.
 */
const args = process.argv.slice(2)
const value = (name: string, fallback: number): number => {
  const at = args.indexOf(name)
  return at < 0 ? fallback : Number(args[at + 1])
}
const names = args.filter((word, i) => !word.startsWith('--') && !(args[i - 1] ?? '').startsWith('--'))
const wants = (name: string): boolean => names.length === 0 || names.includes(name)
const keys = value('--keys', 1_000_000)
const rounds = value('--rounds', 3)
const lines: string[] = []
const say = (line: string): void => {
  console.log(line)
  lines.push(line)
}
const number = (n: number | null, digits = 1): string =>
  n === null ? '-' : n.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })

const LIVE_LOADS: Readonly<Record<string, Load>> = {
  'L1 10,000/s': { writes: 200_000, perSecond: 10_000, transactions: false },
  'L2 unpaced': { writes: 1_000_000, perSecond: 0, transactions: false },
  'L3 MULTI unpaced': { writes: 500_000, perSecond: 0, transactions: true },
}

function showRows(rows: readonly Row[]): void {
  const base = rows.find((row) => row.tool === 'native REPLICAOF')
  for (const row of rows)
    say(
      `| ${row.job} | ${row.tool} | ${number(row.wallS, 2)} | ${base ? number(row.wallS / base.wallS, 2) : '-'} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${row.differences ?? '-'} |`,
    )
}

async function snapshots(name: DatasetName, count: number, withPeers: boolean): Promise<void> {
  const source = await TestServer.start()
  const target = await TestServer.start()
  try {
    await fill(parseEndpoint(source.url), name, count)
    showRows(await benchSnapshot(`${name} ${count.toLocaleString('en-US')}`, source, target, rounds, withPeers))
  } finally {
    await source.stop()
    await target.stop()
  }
}

async function nativeFollower(source: TestServer, target: TestServer): Promise<Follower> {
  const link = await RedisLink.open(parseEndpoint(target.url))
  await link.call('REPLICAOF', '127.0.0.1', source.port)
  for (;;) {
    if (/master_link_status:up/.test(String(await link.call('INFO', 'replication')))) break
    await sleep(20)
  }
  return {
    name: 'native REPLICAOF',
    use: () => ({ cpuMs: 0, rssMb: 0 }),
    stop: async () => {
      await link.call('REPLICAOF', 'NO', 'ONE')
      link.close()
    },
  }
}

async function live(): Promise<void> {
  const kinds: ((source: TestServer, target: TestServer) => Promise<Follower>)[] = [
    nativeFollower,
    async (source, target) => {
      const tool = await LiveTool.start(source.url, target.url)
      return { name: 'ferrite-migrate', use: () => tool.use, stop: () => tool.stop() }
    },
    ...peers()
      .filter((peer) => peer.live !== undefined)
      .map((peer) => async (source: TestServer, target: TestServer): Promise<Follower> => {
        const child = peer.live!(source, target)
        await sleep(8000)
        return {
          name: peer.name,
          use: () => processUse(child.pid ?? 0),
          stop: async () => {
            const gone = new Promise((done) => child.once('exit', done))
            child.kill('SIGKILL')
            await gone
          },
        }
      }),
  ]
  for (const start of kinds) {
    const source = await TestServer.start()
    const target = await TestServer.start()
    try {
      await fill(parseEndpoint(source.url), 'mixed', 100_000)
      const follower = await start(source, target)
      const show = (row: LiveRow): void =>
        say(
          `| ${row.job} | ${row.tool} | ${number(row.appliedPerSecond, 0)} | ${number(row.lagP50)} | ${number(row.lagP99)} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${row.halfTransactions ?? '-'} | ${row.differences ?? '-'} |`,
        )
      try {
        for (const [job, load] of Object.entries(LIVE_LOADS))
          show(await benchWrites(job, follower, source, target, load))
      } finally {
        await follower.stop()
      }
    } finally {
      await source.stop()
      await target.stop()
    }
  }
}

async function ferrite(): Promise<void> {
  const source = await TestServer.start()
  const real = process.env.FERRITE_BIN !== undefined
  const backend = await TestServer.start(real ? { version: 'ferrite' } : {})
  const emulator = real ? null : await FerriteEmulator.start(parseEndpoint(backend.url))
  try {
    await fill(parseEndpoint(source.url), 'mixed', keys)
    const label = real ? 'Ferrite' : 'emulator'
    const target = real ? `ferrite://127.0.0.1:${backend.port}` : emulator!.url
    for (const row of await benchFerrite(source, target, keys, label, rounds))
      say(
        `| ${row.job} | ${row.tool} | ${number(row.wallS, 2)} | ${number(row.ratio, 2)} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${row.differences ?? '-'} |`,
      )
  } finally {
    await emulator?.stop()
    await backend.stop()
    await source.stop()
  }
}

say(
  `## ${new Date().toISOString().slice(0, 10)}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}`,
)
say('')
if (wants('snapshot') || wants('large') || wants('binary') || wants('tiny') || wants('ferrite')) {
  say('| job | tool | wall s | of native | tool CPU s | RSS MB | differences |')
  say('|---|---|---|---|---|---|---|')
  if (wants('snapshot')) await snapshots('mixed', keys, true)
  if (wants('large')) await snapshots('large', keys, false)
  if (wants('binary')) await snapshots('binary', Math.floor(keys / 5), false)
  if (wants('tiny')) await snapshots('tiny', keys * 10, false)
  if (wants('ferrite')) await ferrite()
  say('')
}
if (wants('verify')) {
  say('| job | tool | wall s | CPU s | RSS MB | checked |')
  say('|---|---|---|---|---|---|')
  for (const row of [...(await benchVerify('mixed', keys, rounds)), ...(await benchVerify('large', keys, 1))])
    say(
      `| ${row.job} | ${row.tool} | ${number(row.wallS, 2)} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${row.checked} |`,
    )
  say('')
}
if (wants('transform')) {
  const source = await TestServer.start()
  const target = await TestServer.start()
  try {
    await fill(parseEndpoint(source.url), 'mixed', keys)
    say('| rules for names | wall s | of none | CPU s | verified |')
    say('|---|---|---|---|---|')
    const rows = await benchNames(source, target, rounds)
    for (const row of rows)
      say(
        `| ${row.rules} | ${number(row.wallS, 2)} | ${number(row.wallS / rows[0].wallS, 2)} | ${number(row.cpuS, 2)} | ${row.verified ? 'yes' : 'no'} |`,
      )
    say('')
  } finally {
    await source.stop()
    await target.stop()
  }
  say('| small JSON values, one thread | values a second |')
  say('|---|---|')
  for (const row of await benchEngines()) say(`| ${row.engine} | ${number(row.perSecond, 0)} |`)
  say('')
}
if (wants('rows')) {
  say('| job | wall s | a second | RSS MB | checked |')
  say('|---|---|---|---|---|')
  for (const row of [...(await benchRows(keys)), await benchMemcached(keys)])
    if (row !== null)
      say(
        `| ${row.job} | ${number(row.wallS, 2)} | ${number(row.perSecond, 0)} | ${number(row.rssMb, 0)} | ${row.checked} |`,
      )
  say('')
}
if (wants('files')) {
  say('| job | tool | wall s | CPU s | RSS MB | checked |')
  say('|---|---|---|---|---|---|')
  for (const row of await benchFiles(keys, rounds))
    say(
      `| ${row.job} | ${row.tool} | ${number(row.wallS, 2)} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${row.checked} |`,
    )
  say('')
}
if (wants('lifecycle')) {
  say('| what | measured |')
  say('|---|---|')
  for (const verify of [false, true]) {
    const row = await benchCutover(rounds, verify)
    say(`| ${row.what} | ${row.value} |`)
  }
  for (const row of await benchResume(keys)) say(`| ${row.what} | ${row.value} |`)
  const stall = await benchStall(100_000)
  say(`| ${stall.what} | ${stall.value} |`)
  say('')
}
if (wants('cluster')) {
  say('| clusters | measured |')
  say('|---|---|')
  const some = Math.min(keys, 100_000)
  for (const bench of [
    () => benchClusterSnapshot(keys, rounds),
    () => benchClusterLive(some, rounds),
    () => benchClusterCutover(some, rounds),
    () => benchHandover(60, rounds * 3),
    () => benchHandover(60_000, rounds),
  ])
    for (const row of await bench()) say(`| ${row.what} | ${row.value} |`)
  say('')
}
if (wants('queue')) {
  say('| job | tool | applied/s | lag p50 ms | lag p99 ms | differences |')
  say('|---|---|---|---|---|---|')
  for (const row of await benchQueueLive(rounds))
    say(
      `| ${row.job} | ${row.tool} | ${number(row.appliedPerSecond, 0)} | ${number(row.lagP50)} | ${number(row.lagP99)} | ${row.differences} |`,
    )
  say('')
  say('| by a queue | measured |')
  say('|---|---|')
  for (const row of await benchManyShards(value('--shards', 100))) say(`| ${row.what} | ${row.value} |`)
  say('')
}
if (wants('live')) {
  say('| job | tool | applied/s | lag p50 ms | lag p99 ms | tool CPU s | RSS MB | half transactions | differences |')
  say('|---|---|---|---|---|---|---|---|---|')
  await live()
  say('')
}
if (wants('state')) {
  say(
    '| 10,000 writes/s, read again | lag p50 ms | lag p99 ms | tool CPU s | RSS MB | CPU of the source | differences |',
  )
  say('|---|---|---|---|---|---|---|')
  for (const count of [100, keys])
    for (const row of await benchState(count))
      say(
        `| ${row.job} | ${number(row.lagP50)} | ${number(row.lagP99)} | ${number(row.cpuS, 2)} | ${number(row.rssMb, 0)} | ${number(row.sourceCpu * 100, 0)}% | ${row.differences} |`,
      )
  say('')
}
const file = resolve(import.meta.dirname, '..', '..', '..', 'docs', 'benchmarks.md')
if (args.includes('--no-save'))
  writeFileSync(join(mkdtempSync(join(tmpdir(), 'fm-bench-')), 'results.md'), lines.join('\n'))
else appendFileSync(file, `${existsSync(file) ? '\n' : '# Benchmarks\n\n'}${lines.join('\n')}`)
