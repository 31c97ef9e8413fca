import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Transform } from '@ferrite-migrate/contracts'
import type { TestServer } from '@ferrite-migrate/servers'
import { createTransform as createJq } from '@ferrite-migrate/transform-jq'
import { createTransform as createScript } from '@ferrite-migrate/transform-script'
import { emptyServer } from './empty-server.js'
import { type Measured, median } from './measure.js'
import { measureTool, runTool } from './tool.js'

export interface RateRow {
  readonly engine: string
  readonly perSecond: number
}

const BATCH = 1000
const VALUES = 200_000
const RULES: Record<string, string> = {
  prefix: '    - {type: prefix, value: "new:"}\n',
  'prefix, rename by regex, strip_prefix':
    '    - {type: prefix, value: "new:"}\n    - {type: rename, from: "^new:(s|h):(.*)", to: "$1/$2"}\n    - {type: strip_prefix, value: "new:"}\n',
}

/** What new names cost a snapshot: the same data without and with rules, interleaved; medians, and a verification of the last. */
export async function benchNames(
  source: TestServer,
  target: TestServer,
  rounds: number,
): Promise<{ rules: string; wallS: number; cpuS: number | null; verified: boolean }[]> {
  const directory = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  const files = Object.entries(RULES).map(([name, text], i) => {
    const path = join(directory, `${i}.yaml`)
    writeFileSync(path, `transformations:\n  keys:\n${text}`)
    // Prefixes of the data set are one or two letters; two names that meet would end the run, as they should.
    return { name, args: ['--transform', path, '--on-collision', 'last'] }
  })
  const cases = [{ name: 'none', args: [] as string[] }, ...files]
  const runs = cases.map((): Measured[] => [])
  const verified = cases.map(() => false)
  // Whoever follows another finds the memory that it left: so they take turns.
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < cases.length; turn++) {
      const i = (round + turn) % cases.length
      const { args } = cases[i]
      await emptyServer(target.url)
      const run = await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot', ...args])
      if (run.code !== 0) throw new Error(`ferrite-migrate failed: ${run.output}`)
      runs[i].push(run)
      if (round < rounds - 1) continue
      const names = args.filter((_, at) => at < 2)
      verified[i] = (await measureTool(['verify', '-s', source.url, '-t', target.url, ...names])).code === 0
    }
  return cases.map(({ name }, i) => ({
    rules: name,
    wallS: median(runs[i].map((run) => run.wallMs)) / 1000,
    cpuS: median(runs[i].map((run) => run.cpuMs ?? 0)) / 1000,
    verified: verified[i],
  }))
}

/** Small JSON values a second through one thread of each engine, after loading, in batches of a thousand. */
export async function benchEngines(): Promise<RateRow[]> {
  const directory = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  const script = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text)
    return path
  }
  const context = {
    logger: { log: () => undefined, enabled: () => false },
    signal: new AbortController().signal,
    tempDir: directory,
  }
  const options = { memory: 256 << 20, timeout: 30_000, workers: 1 }
  const engines: [string, () => Promise<Transform>][] = [
    ['jq', () => createJq({ ...context, url: '', options: { ...options, filter: '.status = "migrated"' } })],
    [
      'JavaScript (QuickJS)',
      () =>
        createScript({
          ...context,
          options,
          url: script(
            't.js',
            'function transformValue(key, value) { const data = JSON.parse(value); data.migrated = true; return JSON.stringify(data) }',
          ),
        }),
    ],
    [
      'Python (Pyodide)',
      () =>
        createScript({
          ...context,
          options,
          url: script(
            't.py',
            'import json\ndef transform_value(key, value, type):\n    data = json.loads(value)\n    data["migrated"] = True\n    return json.dumps(data)\n',
          ),
        }),
    ],
  ]
  const values = Array.from({ length: BATCH }, (_, i) =>
    Buffer.from(JSON.stringify({ id: i, name: `name ${i}`, status: 'new', tags: ['a', 'b'] })),
  )
  const records = values.map((value, i) => ({
    db: 0,
    key: Buffer.from(`user:${i}`),
    value: { form: 'items', type: 'string', items: [value] } as const,
    expireAt: 0,
  }))
  const rows: RateRow[] = []
  for (const [engine, open] of engines) {
    const transform = await open()
    const once = async (): Promise<void> => {
      const answers = transform.items ? await transform.items(values) : await transform.values!(records)
      const fault = answers.find((answer) => answer instanceof Error)
      if (fault !== undefined) throw fault
    }
    for (let warm = 0; warm < 10; warm++) await once()
    const startedAt = performance.now()
    for (let done = 0; done < VALUES; done += BATCH) await once()
    rows.push({ engine, perSecond: VALUES / ((performance.now() - startedAt) / 1000) })
    await transform[Symbol.asyncDispose]?.()
  }
  return rows
}
