import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CONTRACT_MAJOR } from '@ferrite-migrate/contracts'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start } from './servers.js'
import { cli, Tool } from './tool.js'

const folder = mkdtempSync(join(tmpdir(), 'fm-broken-'))
let target: Awaited<ReturnType<typeof start>>

/** A live source in plain JavaScript, with the fault that the host of its address names. */
const MODULE = `
const { setTimeout: sleep } = require('node:timers/promises')
const bytes = (...argv) => argv.map((word) => Buffer.from(word))
const resp = (argv) => Buffer.from('*' + argv.length + '\\r\\n' + argv.map((a) => '$' + a.length + '\\r\\n' + a + '\\r\\n').join(''))
const change = (...words) => ({ db: 0, name: words[0].toUpperCase(), argv: bytes(...words), resp: resp(words), receivedAt: Date.now() })
async function* read({ signal }, fault) {
  yield { kind: 'sync', mode: 'full' }
  yield { kind: 'snapshot', byteLength: 9, records: [{ db: 0, key: Buffer.from('a'), expireAt: 0, value: { form: 'items', type: 'string', items: bytes('1') } }] }
  yield { kind: 'snapshot-end', position: '0' }
  const made = change('SET', 'b', '2')
  if (fault === 'position') yield { kind: 'changes', records: [made], byteLength: 9 }
  if (fault === 'name') yield { kind: 'changes', records: [{ ...made, name: 'set' }], byteLength: 9, position: '1' }
  if (fault === 'resp') yield { kind: 'changes', records: [{ ...made, resp: Buffer.from('*1\\r\\n$3\\r\\nSET\\r\\n') }], byteLength: 9, position: '1' }
  if (fault === 'throws') null.length
  yield { kind: 'changes', records: [made], byteLength: 9, position: '1' }
  while (fault === 'deaf' || !signal.aborted) await sleep(50)
}
exports.createSource = async ({ url }) => {
  const fault = new URL(url).host
  if (fault === 'empty') return {}
  if (fault === 'create') null.length
  return {
    capabilities: { changes: 'lossless', resume: 'none' },
    description: { product: 'broken' },
    shards: [{ id: 'one', read: (request) => read(request, fault), lag: async () => ({ keys: 0 }) }],
    ...(fault === 'close' ? { [Symbol.asyncDispose]: () => new Promise(() => {}) } : {}),
  }
}
`

beforeEach(async () => {
  target = await start()
})
beforeAll(() => {
  const adapter = (name: string, module: string) => ({
    ...{ kind: 'source', name, schemes: [name], module, options: [] },
  })
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({
      name: 'broken-plugin',
      version: '1.0.0',
      ferriteMigrate: {
        contract: CONTRACT_MAJOR,
        adapters: [adapter('broken', './index.js'), adapter('unloadable', './missing.js')],
      },
    }),
  )
  writeFileSync(join(folder, 'index.js'), MODULE)
  writeFileSync(join(folder, 'missing.js'), "require('a-package-that-is-not-there')")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const args = (source: string) => [
  ...['migrate', '-s', source, '-t', target.url, '--mode', 'live', '--plugin', folder, '--state-dir', stateDir()],
]

describe('a plugin', () => {
  it.each([
    ['broken://position', 'FM_PLUGIN_EVENT', 'broken-plugin gave a changes event with the position undefined'],
    ['broken://name', 'FM_PLUGIN_EVENT', 'broken-plugin gave a change named "set" whose argv begins with "SET"'],
    ['broken://resp', 'FM_PLUGIN_EVENT', 'broken-plugin gave a change SET whose resp are not the bytes of its argv'],
    ['broken://throws', 'FM_PLUGIN_FAULT', 'broken-plugin failed while it was read: TypeError'],
    ['broken://empty', 'FM_PLUGIN_FAULT', 'broken-plugin gave a source without `capabilities`'],
    ['broken://create', 'FM_PLUGIN_FAULT', 'broken-plugin cannot be opened: TypeError'],
    [
      'unloadable://x',
      'FM_PLUGIN_FAULT',
      "broken-plugin cannot be loaded: Error: Cannot find module 'a-package-that-is-not-there'",
    ],
  ])('with the fault of %s is named', async (source, code, text) => {
    const { code: exit, output } = await cli([...args(source), '--json'])
    expect(JSON.parse(output.slice(output.indexOf('{'))).error).toMatchObject({
      code,
      message: expect.stringContaining(text),
    })
    expect(exit).toBe(1)
  })

  it('that knows no way to follow is not asked for one without a word', async () => {
    const { code, output } = await cli([...args('broken://none'), '--capture', 'psync'])
    expect(output).toContain('FM_OPTION_UNKNOWN')
    expect(code).toBe(2)
  })

  it('need have nothing to release, and is named again in what comes next', async () => {
    const tool = new Tool([...args('broken://none'), '--id', 'fine'])
    await tool.says('LIVE_SYNC')
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
    expect(tool.output).toMatch(new RegExp(`migrate --resume fine --plugin ${folder} --state-dir`))
    expect(String(await command(target.url, 'GET', 'b'))).toBe('2')
  })

  it.each(['deaf', 'close'])('that does not come to its end is left, and says so: %s', async (fault) => {
    const tool = new Tool(args(`broken://${fault}`))
    await tool.says('LIVE_SYNC')
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
    expect(tool.output).toMatch(
      fault === 'deaf' ? /broken-plugin was asked to end its reading/ : /closing the source takes too long/,
    )
  })
})
