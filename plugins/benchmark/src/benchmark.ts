import { randomBytes } from 'node:crypto'
import { MigrateError } from '@ferrite-migrate/contracts'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { build, type Histogram } from 'hdr-histogram-js'
import { type BenchCommand, COMMANDS } from './commands.js'
import { Load, removeKeys } from './load.js'
import type { MeasuredEnd } from './measured-end.js'
import { NullServer } from './null-server.js'

export interface BenchmarkOptions {
  readonly source: MeasuredEnd
  readonly target: MeasuredEnd
  readonly operations: number
  readonly commands: readonly string[]
  readonly clients: number
  readonly pipeline: number
  readonly dataSize: number
  readonly keyspace: number
  readonly rate: number
  /** Aborted = the measurement ends, and its keys are removed. */
  readonly signal?: AbortSignal
  onProgress?(text: string): void
}

/** One server's figures of one command; latencies in ms. */
export interface SideResult {
  readonly perSecond: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** Percentile and latency, for a plot. */
  readonly percentiles: readonly (readonly [number, number])[]
}

export interface CommandResult {
  readonly command: string
  readonly operations: number
  readonly source: SideResult
  readonly target: SideResult
}

export interface BenchmarkReport {
  readonly results: readonly CommandResult[]
  /** What these clients reach against a server that does nothing: figures near it are the client's, not the server's. */
  readonly clientLimitPerSecond: number
  readonly clients: number
  readonly pipeline: number
  readonly dataSize: number
  readonly keyspace: number
  readonly rate: number
}

/** Each side is measured in so many turns, one after the other, so that a noisy moment does not hit one alone. */
const TURNS = 4
const WARM_UP_SHARE = 0.1
const PERCENTILES = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100]

/**
 * Measures two servers with the same commands on keys of its own, which are removed at the end.
 * @throws MigrateError FM_OPTION_VALUE for unknown commands, FM_BENCHMARK_REFUSED
 */
export async function runBenchmark(options: BenchmarkOptions): Promise<BenchmarkReport> {
  const commands = options.commands.map((name) => {
    const command = COMMANDS[name.toUpperCase()]
    if (command === undefined)
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `the command ${name.slice(0, 30)} cannot be measured`,
        `Choose among ${Object.keys(COMMANDS).join(', ')}.`,
      )
    return command
  })
  const prefix = `__ferrite_migrate__:tmp:bench-${randomBytes(4).toString('hex')}:`
  const load = ({ servers }: MeasuredEnd): Load => new Load({ ...options, servers, prefix })
  const sides = [load(options.source), load(options.target)] as const
  try {
    const report = await measured(options, commands, sides, prefix)
    for (const side of sides) side.close()
    await removed(options, prefix)
    return report
  } catch (error) {
    for (const side of sides) side.close()
    // What went wrong first is told, not what came of it.
    await removed(options, prefix).catch(() => undefined)
    throw error
  }
}

/** Removes what was written at both ends; one that is gone does not keep the other from being cleaned. */
async function removed({ source, target, keyspace }: BenchmarkOptions, prefix: string): Promise<void> {
  const removals = await Promise.allSettled(
    [source, target].map(({ servers }) => removeKeys(servers, prefix, keyspace)),
  )
  const failed = removals.find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function measured(
  options: BenchmarkOptions,
  commands: readonly BenchCommand[],
  sides: readonly [Load, Load],
  prefix: string,
): Promise<BenchmarkReport> {
  const results: CommandResult[] = []
  for (const side of sides) await side.open()
  for (const command of commands) {
    if (options.signal?.aborted) break
    options.onProgress?.(command.name)
    results.push(await measure(command, sides, options.operations))
  }
  // By now everything is compiled, for this server as for the others: what was reached is never above the limit.
  const reached = results.flatMap(({ source, target }) => [source.perSecond, target.perSecond])
  return {
    results,
    clientLimitPerSecond: options.signal?.aborted ? 0 : Math.max(await clientLimit(options, prefix), ...reached),
    clients: options.clients,
    pipeline: options.pipeline,
    dataSize: options.dataSize,
    keyspace: options.keyspace,
    rate: options.rate,
  }
}

async function measure(
  command: BenchCommand,
  sides: readonly [Load, Load],
  operations: number,
): Promise<CommandResult> {
  const histograms = sides.map(() =>
    build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 }),
  )
  const spent = [0, 0]
  const each = Math.ceil(operations / TURNS)
  for (const side of sides) {
    await side.prepare(command)
    await side.run(command, Math.ceil(operations * WARM_UP_SHARE), null)
  }
  for (let turn = 0; turn < TURNS; turn++)
    for (const i of turn % 2 === 0 ? [0, 1] : [1, 0]) spent[i] += await sides[i].run(command, each, histograms[i])
  const result = (i: number): SideResult => side(histograms[i], each * TURNS, spent[i])
  return { command: command.name, operations: each * TURNS, source: result(0), target: result(1) }
}

function side(histogram: Histogram, operations: number, ms: number): SideResult {
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000
  return {
    perSecond: (operations / ms) * 1000,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.maxValue / 1000,
    percentiles: PERCENTILES.map((percentile) => [percentile, at(percentile)] as const),
  }
}

/** The same clients against a server that only says OK. */
async function clientLimit(options: BenchmarkOptions, prefix: string): Promise<number> {
  const server = await NullServer.start()
  const endpoint = parseEndpoint(`redis://127.0.0.1:${server.port}`)
  const load = new Load({ ...options, rate: 0, servers: [{ endpoint, tags: null }], prefix })
  try {
    await load.open()
    const operations = Math.min(options.operations, 50_000)
    await load.run(COMMANDS.SET, Math.ceil(operations / 5), null)
    let best = 0
    for (let turn = 0; turn < TURNS && !options.signal?.aborted; turn++)
      best = Math.max(best, (operations / (await load.run(COMMANDS.SET, operations, null))) * 1000)
    return best
  } finally {
    load.close()
    await server.stop()
  }
}
