import { once } from 'node:events'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { memcachedMissing, TestMemcached, TestServer } from '@ferrite-migrate/servers'
import { measureTool, runTool } from './tool.js'

export interface RowsRow {
  readonly job: string
  readonly wallS: number
  readonly perSecond: number
  readonly rssMb: number
  readonly checked: string
}

const SEED = (i: number): Record<string, string | number> => ({
  id: i,
  name: `name ${i}`,
  email: `user${i}@example.com`,
  age: i % 90,
  city: `City, ${i % 100}`,
})

/** Writes rows in one of the layouts. */
export async function writeRows(path: string, layout: 'csv' | 'ndjson' | 'json', rows: number): Promise<void> {
  const out = createWriteStream(path)
  const write = async (text: string): Promise<void> => {
    if (!out.write(text)) await once(out, 'drain')
  }
  await write(layout === 'csv' ? 'id,name,email,age,city\n' : layout === 'json' ? '[' : '')
  let part = ''
  for (let i = 0; i < rows; i++) {
    const row = SEED(i)
    if (layout === 'csv') part += `${row.id},${row.name},${row.email},${row.age},"${row.city}"\n`
    else part += `${layout === 'json' && i > 0 ? ',\n' : ''}${JSON.stringify(row)}${layout === 'ndjson' ? '\n' : ''}`
    if (part.length < 1 << 20) continue
    await write(part)
    part = ''
  }
  await write(layout === 'json' ? `${part}]` : part)
  out.end()
  await once(out, 'finish')
}

async function keysOf(server: TestServer): Promise<number> {
  const link = await RedisLink.open(parseEndpoint(server.url))
  try {
    return Number(await link.call('DBSIZE'))
  } finally {
    link.close()
  }
}

/** Rows of files as hashes, start of the tool included; verified value by value afterwards. */
export async function benchRows(rows: number): Promise<RowsRow[]> {
  const directory = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  const found: RowsRow[] = []
  try {
    for (const layout of ['csv', 'ndjson', 'json'] as const) {
      const path = join(directory, `rows.${layout}`)
      await writeRows(path, layout, rows)
      const target = await TestServer.start()
      try {
        const args = ['--key', 'user:{id}', '--target', target.url, '--state-dir', join(directory, 'state')]
        const run = await measureTool(['import', path, ...args])
        if (run.code !== 0) throw new Error(run.output)
        const verify = await measureTool([
          'verify',
          '-s',
          `${layout}://${path}`,
          '-t',
          target.url,
          '--source-option',
          'key=user:{id}',
        ])
        found.push({
          job: `import of ${rows.toLocaleString('en-US')} rows, ${layout}`,
          wallS: run.wallMs / 1000,
          perSecond: rows / (run.wallMs / 1000),
          rssMb: run.rssMb,
          checked: verify.code === 0 && (await keysOf(target)) === rows ? 'equal' : `exit ${verify.code}`,
        })
      } finally {
        await target.stop()
      }
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
  return found
}

/** Small items, with and without an end. */
export async function storeItems(port: number, items: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.resume()
  for (let i = 0; i < items; ) {
    let text = ''
    for (let n = 0; n < 5000 && i < items; n++, i++) {
      const value = `value-${i}-${'x'.repeat(i % 80)}`
      text += `set key:${i} ${i % 3} ${i % 4 === 0 ? 10_000 : 0} ${value.length} noreply\r\n${value}\r\n`
    }
    if (!socket.write(text)) await once(socket, 'drain')
  }
  socket.end()
  await once(socket, 'close')
}

/** A Memcached of small items, start of the tool included. */
export async function benchMemcached(items: number): Promise<RowsRow | null> {
  if (memcachedMissing() !== null) return null
  const source = await TestMemcached.start(['-m', '2048'])
  const target = await TestServer.start()
  try {
    await storeItems(source.port, items)
    const run = await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot'])
    if (run.code !== 0) throw new Error(run.output)
    const verify = await measureTool(['verify', '-s', source.url, '-t', target.url])
    return {
      job: `memcached of ${items.toLocaleString('en-US')} small items`,
      wallS: run.wallMs / 1000,
      perSecond: items / (run.wallMs / 1000),
      rssMb: run.rssMb,
      checked: verify.code === 0 ? 'equal' : `exit ${verify.code}`,
    }
  } finally {
    await source.stop()
    await target.stop()
  }
}
