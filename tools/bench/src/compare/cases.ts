import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestMemcached, TestServer } from '@ferrite-migrate/servers'
import { type DatasetName, fill } from '../dataset.js'
import { emptyServer } from '../empty-server.js'
import { countDifferences } from '../equality.js'
import { benchWrites, type Load } from '../live-bench.js'
import { type Measured, runMeasured } from '../measure.js'
import { storeItems, writeRows } from '../rows-bench.js'
import { stateRow } from '../state-bench.js'
import { LiveTool, measureTool, runCommand, runTool } from '../tool.js'
import type { Figures } from './ratios.js'

/** What both sides are measured by. */
export interface Case {
  /** One round by the program of one side. */
  run(bin: string): Promise<Figures>
  close(): Promise<void>
}

const LIMIT_MS = 600_000
const STARTS = 5

function figures({ wallMs, cpuMs, rssMb }: Measured): Figures {
  return { 'wall s': wallMs / 1000, 'CPU s': cpuMs / 1000, 'RSS MB': rssMb }
}

async function measured(bin: string, args: readonly string[], code = 0): Promise<Measured> {
  const run = await runMeasured(process.execPath, [bin, ...args], LIMIT_MS)
  if (run.code !== code) throw new Error(`${bin} ${args[0]} ended with ${run.code}: ${run.output}`)
  return run
}

function folder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Two servers, the first of them filled. */
async function ends(name: DatasetName, keys: number) {
  const source = await TestServer.start()
  const target = await TestServer.start()
  await fill(parseEndpoint(source.url), name, keys)
  return {
    ...{ source, target },
    close: async () => {
      await source.stop()
      await target.stop()
    },
  }
}

async function mustBeEqual(source: TestServer, target: TestServer): Promise<void> {
  const differences = await countDifferences(source.url, target.url)
  if (differences > 0) throw new Error(`${differences} keys differ`)
}

/** A copy into an empty server; the first of each side is compared value by value. @param into where what the target stores is written to */
function copier(source: TestServer, target: TestServer, into = target.url): Case['run'] {
  const checked = new Set<string>()
  return async (bin) => {
    await emptyServer(target.url)
    const run = await snapshot(bin, source.url, into)
    if (!checked.has(bin)) await mustBeEqual(source, target)
    checked.add(bin)
    return figures(run)
  }
}

async function snapshot(bin: string, source: string, target: string): Promise<Measured> {
  const state = folder()
  const run = await measured(bin, ['migrate', '-s', source, '-t', target, '-m', 'snapshot', '--state-dir', state.path])
  state.remove()
  return run
}

async function copy(name: DatasetName, keys: number): Promise<Case> {
  const { source, target, close } = await ends(name, keys)
  return { run: copier(source, target), close }
}

/** A copy into the emulated Ferrite. */
async function emulated(keys: number): Promise<Case> {
  const { source, target, close } = await ends('mixed', keys)
  const emulator = await FerriteEmulator.start(parseEndpoint(target.url))
  return {
    run: copier(source, target, emulator.url),
    close: async () => {
      await emulator.stop()
      await close()
    },
  }
}

/** A copy that is killed in the middle: what going on takes. */
async function resume(keys: number): Promise<Case> {
  const { source, target, close } = await ends('mixed', keys)
  return {
    run: async (bin) => {
      await emptyServer(target.url)
      const state = folder()
      const link = await RedisLink.open(parseEndpoint(target.url))
      const at = ['--state-dir', state.path]
      await runCommand(
        ['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot', '--id', 'half', ...at],
        async () => Number(await link.call('DBSIZE')) > keys / 2,
        bin,
      )
      link.close()
      const run = await measured(bin, ['migrate', '--resume', 'half', ...at])
      state.remove()
      await mustBeEqual(source, target)
      return figures(run)
    },
    close,
  }
}

/** What follows writes: how far behind, and at what cost. */
async function live(load: Load): Promise<Case> {
  return {
    run: async (bin) => {
      const { source, target, close } = await ends('mixed', 100_000)
      try {
        const tool = await LiveTool.start(source.url, target.url, [], bin)
        try {
          const follower = { name: bin, use: () => tool.use, stop: () => tool.stop() }
          const row = await benchWrites('compare', follower, source, target, load)
          if (row.differences !== 0) throw new Error(`${row.differences} keys differ`)
          return {
            's of 100,000 writes': 100_000 / row.appliedPerSecond,
            'lag p50 ms': row.lagP50,
            'lag p99 ms': row.lagP99,
            'CPU s': row.cpuS ?? 0,
            'RSS MB': row.rssMb ?? 0,
          }
        } finally {
          await tool.stop()
        }
      } finally {
        await close()
      }
    },
    close: async () => undefined,
  }
}

/** Writes to strings, each of which is read again. */
async function state(keys: number, into: 'server' | 'emulator'): Promise<Case> {
  return {
    run: async (bin) => {
      const row = await stateRow(keys, into, bin)
      if (row.differences !== 0) throw new Error(`${row.differences} keys differ`)
      return {
        'lag p50 ms': row.lagP50,
        'lag p99 ms': row.lagP99,
        'CPU s': row.cpuS ?? 0,
        'source, % of a core': row.sourceCpu * 100,
      }
    },
    close: async () => undefined,
  }
}

/** Small items of a Memcached; verified after the last round. */
async function memcached(items: number): Promise<Case> {
  const source = await TestMemcached.start(['-m', '2048'])
  const target = await TestServer.start()
  await storeItems(source.port, items)
  return {
    run: async (bin) => {
      await emptyServer(target.url)
      return figures(await snapshot(bin, source.url, target.url))
    },
    close: async () => {
      try {
        const verified = await measureTool(['verify', '--source', source.url, '--target', target.url])
        if (verified.code !== 0) throw new Error(verified.output)
      } finally {
        await source.stop()
        await target.stop()
      }
    },
  }
}

/** Both ends of a copy, compared. */
async function verify(name: DatasetName, keys: number): Promise<Case> {
  const { source, target, close } = await ends(name, keys)
  // Filled apart, their keys would end some milliseconds apart.
  const copied = await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot'])
  if (copied.code !== 0) throw new Error(copied.output)
  return {
    run: async (bin) => figures(await measured(bin, ['verify', '--source', source.url, '--target', target.url])),
    close,
  }
}

/** Rows of a file, as hashes. */
async function rows(count: number): Promise<Case> {
  const place = folder()
  const path = join(place.path, 'rows.csv')
  await writeRows(path, 'csv', count)
  const target = await TestServer.start()
  return {
    run: async (bin) => {
      await emptyServer(target.url)
      const state = folder()
      const args = ['import', path, '--key', 'user:{id}', '--target', target.url, '--state-dir', state.path]
      const run = await measured(bin, args)
      state.remove()
      return figures(run)
    },
    close: async () => {
      place.remove()
      await target.stop()
    },
  }
}

/** How long a command takes that does nearly nothing, once its code was compiled. */
async function starts(args: (state: string) => string[]): Promise<Case> {
  const state = folder()
  return {
    run: async (bin) => {
      await measured(bin, args(state.path))
      let wallMs = 0
      for (let i = 0; i < STARTS; i++) wallMs += (await measured(bin, args(state.path))).wallMs
      return { ms: wallMs / STARTS }
    },
    close: async () => state.remove(),
  }
}

/** By their names; keys are those of the large ones. */
export const CASES: Readonly<Record<string, (keys: number) => Promise<Case>>> = {
  mixed: (keys) => copy('mixed', keys),
  large: (keys) => copy('large', keys),
  binary: (keys) => copy('binary', Math.floor(keys / 5)),
  tiny: (keys) => copy('tiny', keys * 10),
  emulator: emulated,
  resume,
  L1: () => live({ writes: 100_000, perSecond: 10_000, transactions: false }),
  L2: () => live({ writes: 1_000_000, perSecond: 0, transactions: false }),
  L3: () => live({ writes: 500_000, perSecond: 0, transactions: true }),
  'state-hot': () => state(100, 'server'),
  'state-cold': () => state(1_000_000, 'server'),
  'emulator-hot': () => state(100, 'emulator'),
  'emulator-cold': () => state(1_000_000, 'emulator'),
  verify: (keys) => verify('mixed', keys),
  'verify-large': (keys) => verify('large', keys),
  csv: rows,
  memcached,
  version: () => starts(() => ['--version']),
  list: () => starts((state) => ['list', '--state-dir', state]),
}
