import { createServer } from 'node:net'
import { RedisCluster, until } from '@ferrite-migrate/servers'
import { METRICS } from 'ferrite-migrate'
import { describe, expect, it } from 'vitest'
import { hasParser, samplesIn } from './prometheus.js'
import { command, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

const OPENMETRICS = { accept: 'application/openmetrics-text; version=1.0.0' }
const LINE =
  /^(?:# (?:HELP|TYPE|UNIT) [a-z_:][a-z0-9_:]* .*|[a-z_:][a-z0-9_:]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (?:[-+0-9.e]+|NaN|[+-]Inf))$/i

async function read(url: string, headers: Record<string, string> = {}): Promise<{ type: string; text: string }> {
  const response = await fetch(url, { headers })
  expect(response.status).toBe(200)
  return { type: response.headers.get('content-type') ?? '', text: await response.text() }
}

/** A run whose output says where its metrics are. */
async function listening(args: readonly string[]): Promise<{ tool: Tool; url: string }> {
  const tool = new Tool(['migrate', ...args, '--state-dir', stateDir(), '--metrics-listen', '0'])
  stops.push(() => tool.kill())
  await tool.says('LIVE_SYNC')
  const url = /Metrics at (http:\S+)/.exec(tool.output)?.[1]
  if (url === undefined) throw new Error(`it does not say where its metrics are: ${tool.output}`)
  return { tool, url }
}

describe('--metrics-listen', () => {
  it('tells the lag of each shard of a live cluster migration, in both forms', async () => {
    const source = await RedisCluster.start({ primaries: 3, replicas: 0 })
    stops.push(() => source.stop())
    const target = await start()
    const { tool, url } = await listening(['-s', source.url, '-t', target.url])
    const lag = /^ferrite_migrate_shard_lag_bytes\{shard="[^"]+"\} [0-9]+$/gm
    await until(async () => (await read(url)).text.match(lag)?.length === 3, 'the lag of three shards')
    const text = await read(url)
    const open = await read(url, OPENMETRICS)
    expect(text.type).toContain('text/plain')
    expect(open.type).toContain('application/openmetrics-text')
    expect(open.text.endsWith('\n# EOF\n')).toBe(true)
    for (const [form, end] of [
      [text.text, ''],
      [open.text, '# EOF\n'],
    ]) {
      const lines = form.slice(0, form.length - end.length).split('\n')
      expect(lines.filter((line) => line !== '' && !LINE.test(line))).toEqual([])
      const families = lines.flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? [])
      expect(new Set(families).size).toBe(families.length)
      expect(form).toContain('ferrite_migrate_phase{phase="LIVE_SYNC"} 1')
      expect(form).toContain('process_resident_memory_bytes')
    }
    expect(open.text).toContain('# TYPE ferrite_migrate_keys_written counter')
    expect(open.text).toMatch(/^ferrite_migrate_keys_written_total \d+$/m)
    const known = new Set(METRICS.map(({ name }) => name))
    const told = [...text.text.matchAll(/^# TYPE (ferrite_migrate_\S+)/gm)].map(([, name]) => name)
    expect(told.filter((name) => !known.has(name))).toEqual([])
    expect((await fetch(url.replace('/metrics', '/other'))).status).toBe(404)
    expect((await fetch(url, { method: 'POST' })).status).toBe(405)
    tool.child.kill('SIGTERM')
    expect(await tool.over).toBe(130)
  })

  it.skipIf(!hasParser())('is read by the parsers of Prometheus, in both forms', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'SET', 'a "key" \\ of\nmany', '1')
    const { url } = await listening(['-s', source.url, '-t', target.url])
    expect(samplesIn((await read(url)).text, 'text')).toBeGreaterThan(50)
    expect(samplesIn((await read(url, OPENMETRICS)).text, 'openmetrics')).toBeGreaterThan(50)
    expect(() => samplesIn('# TYPE a counter\na 1\n', 'openmetrics')).toThrow()
  })

  it('keeps passwords out of its labels', async () => {
    const source = await start({ args: ['--requirepass', 'sesame'] })
    const target = await start()
    await command(source.url.replace('://', '://:sesame@'), 'SET', 'a', '1')
    const { url } = await listening(['-s', source.url.replace('://', '://:sesame@'), '-t', target.url])
    const { text } = await read(url)
    expect(text).toContain('ferrite_migrate_run_info{source="redis://')
    expect(text).not.toContain('sesame')
  })

  it('says what is wrong with an address, before anything is begun', async () => {
    const target = await start()
    const taken = createServer().listen(0, '127.0.0.1')
    await until(() => taken.listening, 'a port that is taken')
    stops.push(async () => taken.close())
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const ends = ['migrate', '-s', target.url, '-t', target.url, '--state-dir', stateDir()]
    const refused = await cli([...ends, '--metrics-listen', String(port)])
    expect([refused.code, refused.output]).toEqual([1, expect.stringMatching(/FM_LISTEN.*EADDRINUSE/s)])
    const wrong = await cli([...ends, '--metrics-listen', 'http://x'])
    expect([wrong.code, wrong.output]).toEqual([2, expect.stringContaining('FM_OPTION_VALUE')])
  })
})
