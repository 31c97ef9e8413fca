import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { TestServer as Server, type TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { command, differences } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'
import { runWorkload } from './workload.js'

const directory = mkdtempSync(join(tmpdir(), 'fm-rows-'))
afterAll(() => rmSync(directory, { recursive: true }))
let files = 0
function file(extension: string, content: string | Buffer): string {
  const path = join(directory, `${files++}.${extension}`)
  writeFileSync(path, content)
  return path
}
const state = (): string[] => ['--state-dir', mkdtempSync(join(directory, 'state-'))]

let target: TestServer
beforeEach(async () => {
  target = await start()
})
const get = async (...argv: string[]): Promise<string> => String(await command(target.url, ...argv))
const load = (path: string, ...args: string[]) =>
  cli(['import', path, '--target', target.url, '--rejects', join(directory, 'rejects.ndjson'), ...args, ...state()])

const CSV = 'id,name,points,ends\n1,"Ann, A",3.5,1000\n2,"Bob ""B""",-7,\n3,Zoë,2e3,2099-01-01T00:00:00Z\n'
const ROWS = [
  { id: 1, name: 'Ann', tags: ['a', 'b'], address: { city: 'Bern' } },
  { id: 2, name: 'Bob', tags: [], address: null },
]

describe('import', () => {
  it('makes hashes of a CSV, plain, compressed and from standard input, and verifies them', async () => {
    for (const path of [file('csv', CSV), file('csv.gz', gzipSync(CSV)), file('csv.zst', zstdCompressSync(CSV))]) {
      await command(target.url, 'FLUSHALL')
      const run = await load(path, '--key', 'user:{id}', '--ttl-field', 'ends', '--verify')
      expect([run.code, run.output]).toEqual([0, expect.stringContaining('VERIFIED')])
      expect(await get('HGET', 'user:2', 'name')).toBe('Bob "B"')
      expect(Number(await get('TTL', 'user:1'))).toBeGreaterThan(990)
      expect([await get('TTL', 'user:2'), await get('DBSIZE')]).toEqual(['-1', '3'])
    }
    await command(target.url, 'FLUSHALL')
    const piped = new Tool(
      ['import', '-', '--format', 'csv', '--key', 'user:{id}', '-t', target.url, ...state()],
      {},
      Buffer.from(CSV),
    )
    expect(await piped.over).toBe(0)
    expect(await get('DBSIZE')).toBe('3')
  })

  it('takes the separator that a sep= line names', async () => {
    const run = await load(file('csv', 'sep=;\r\nid;name\r\n1;"a;b"\r\n2;c,d\r\n'), '--key', 'u:{id}')
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect([await get('HGET', 'u:1', 'name'), await get('HGET', 'u:2', 'name')]).toEqual(['a;b', 'c,d'])
    expect(await get('DBSIZE')).toBe('2')
  })

  it('makes nothing that a server chokes on, whatever names meet in nested rows and however often members come', async () => {
    let seed = 4711
    const below = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return (seed >> 8) % limit
    }
    const names = ['a', 'b', 'a.b', 'a.0', '0', 'b.a', '', 'é', 'x'.repeat(70)]
    const nested = (depth: number): unknown => {
      const kind = below(depth > 2 ? 3 : 5)
      if (kind === 0) return below(1000)
      if (kind === 1) return 'y'.repeat(below(80))
      if (kind === 2) return null
      if (kind === 3) return Array.from({ length: below(4) }, () => nested(depth + 1))
      return Object.fromEntries(Array.from({ length: below(4) }, () => [names[below(names.length)], nested(depth + 1)]))
    }
    const rows = Array.from({ length: 600 }, (_, id) => ({
      ...Object.fromEntries(Array.from({ length: 1 + below(5) }, () => [names[below(names.length)], nested(0)])),
      id,
    }))
    const json = file('ndjson', rows.map((row) => JSON.stringify(row)).join('\n'))
    await load(json, '--key', 'h:{id}', '--on-error', 'skip')
    const members = rows.map(({ id }) => ({ id: id % 20, member: `m${below(40)}`, score: below(10) }))
    const grouped = file('ndjson', members.map((row) => JSON.stringify(row)).join('\n'))
    const group = ['--member', 'member']
    expect((await load(grouped, '--key', 's:{id}', '--type', 'set', ...group)).code).toBe(0)
    expect((await load(grouped, '--key', 'z:{id}', '--type', 'zset', '--score', 'score', ...group)).code).toBe(0)
    // Values that are not what they should be show when the server makes others of them.
    const keys = (await command(target.url, 'KEYS', '*')) as Buffer[]
    expect(keys.length).toBeGreaterThan(100)
    const long = 'z'.repeat(500)
    for (const key of keys) {
      const type = await get('TYPE', String(key))
      const count = type === 'hash' ? 'HLEN' : type === 'set' ? 'SCARD' : 'ZCARD'
      const before = Number(await command(target.url, count, key))
      const add =
        type === 'hash' ? ['HSET', key, long, '1'] : type === 'set' ? ['SADD', key, long] : ['ZADD', key, '1', long]
      expect(await command(target.url, ...add)).toBe(1)
      const read = type === 'hash' ? ['HKEYS', key] : type === 'set' ? ['SMEMBERS', key] : ['ZRANGE', key, '0', '-1']
      const found = (await command(target.url, ...read)) as Buffer[]
      const names = new Set(found.map((name) => name.toString('latin1')))
      expect([found.length, names.size], String(key)).toEqual([before + 1, before + 1])
      for (const name of found) {
        const remove = type === 'hash' ? 'HDEL' : type === 'set' ? 'SREM' : 'ZREM'
        expect(await command(target.url, remove, key, name)).toBe(1)
      }
    }
    expect(await get('DBSIZE')).toBe('0')
  })

  it('makes every type of rows', async () => {
    const csv = file('csv', CSV)
    expect((await load(csv, '--key', 's:{id}', '--type', 'string', '--value', '{name}/{points}')).code).toBe(0)
    expect(await get('GET', 's:1')).toBe('Ann, A/3.5')
    expect((await load(csv, '--key', 'j:{id}', '--type', 'json')).code).toBe(0)
    expect(JSON.parse(await get('GET', 'j:3'))).toEqual({
      id: '3',
      name: 'Zoë',
      points: '2e3',
      ends: '2099-01-01T00:00:00Z',
    })
    expect((await load(csv, '--key', 'board', '--type', 'zset', '--member', 'id', '--score', 'points')).code).toBe(0)
    expect(await get('ZRANGE', 'board', '0', '-1', 'WITHSCORES')).toBe('2,-7,1,3.5,3,2000')
    expect((await load(csv, '--key', 'all', '--type', 'set', '--member', 'id', '--into-db', '2')).code).toBe(0)
    expect(await command(`${target.url}/2`, 'SCARD', 'all')).toBe(3)
    expect((await load(csv, '--key', 'l', '--type', 'list', '--value', 'id', '--ttl', '1h')).code).toBe(0)
    expect(await get('LRANGE', 'l', '0', '-1')).toBe('1,2,3')
    expect(Number(await get('TTL', 'l'))).toBeGreaterThan(3500)
    expect((await load(csv, '--key', 'x', '--type', 'stream')).code).toBe(0)
    expect(await get('XRANGE', 'x', '2', '2')).toContain('name,Bob "B"')
    const json = file('json', JSON.stringify(ROWS))
    expect((await load(json, '--key', 'n:{id}', '--verify')).code).toBe(0)
    expect(await get('HGETALL', 'n:1')).toBe('id,1,name,Ann,tags.0,a,tags.1,b,address.city,Bern')
    const lines = file('ndjson', ROWS.map((row) => JSON.stringify(row)).join('\n'))
    expect((await load(lines, '--key', 'p:{address.city}', '--nested', 'json', '--on-error', 'skip')).code).toBe(0)
    expect(await get('HGET', 'p:Bern', 'tags')).toBe('["a","b"]')
  })

  it('refuses bad rows, or leaves them out and lists them', async () => {
    const path = file('ndjson', '{"id":1}\nno json\n{"id":""}\n[1]\n{"id":2}\n')
    const strict = await load(path, '--key', 'k:{id}')
    expect([strict.code, strict.output]).toEqual([1, expect.stringMatching(/FM_IMPORT_ROW: line 2: it is no JSON/)])
    const lenient = await load(path, '--key', 'k:{id}', '--on-error', 'skip')
    expect([lenient.code, lenient.output]).toEqual([0, expect.stringContaining('3')])
    expect((await get('KEYS', '*')).split(',').sort()).toEqual(['k:1', 'k:2'])
    const rejects = readFileSync(join(directory, 'rejects.ndjson'), 'utf8').trim().split('\n')
    expect(rejects.map((line) => (JSON.parse(line) as { line: number }).line).sort()).toEqual([2, 3, 4])
    const zset = file('csv', 'name,score\na,1\nb,many\n')
    const wrong = await load(zset, '--key', 'z', '--type', 'zset', '--member', 'name', '--score', 'score')
    expect([wrong.code, wrong.output]).toEqual([1, expect.stringMatching(/line 3: its score is no number/)])
  })

  it('knows what to do with rows of one key', async () => {
    const path = file('csv', `id,v\n${Array.from({ length: 5000 }, (_, i) => `${i % 10},${i}`).join('\n')}\n`)
    expect((await load(path, '--key', 'k:{id}')).code).toBe(0)
    expect(await get('HGET', 'k:3', 'v')).toBe('4993')
    expect((await load(path, '--key', 'k:{id}', '--on-duplicate', 'first')).code).toBe(0)
    expect(await get('HGET', 'k:3', 'v')).toBe('3')
    const failed = await load(path, '--key', 'k:{id}', '--on-duplicate', 'fail')
    expect([failed.code, failed.output]).toEqual([1, expect.stringMatching(/line 12: the key k:0 came before/)])
    expect((await load(path, '--key', 'all', '--type', 'list', '--value', 'v')).code).toBe(0)
    expect(await get('LLEN', 'all')).toBe('5000')
  })

  it('shows the first rows as commands, and writes nothing', async () => {
    const shown = await load(file('csv', CSV), '--key', 'user:{id}', '--ttl', '1h', '--dry-run')
    expect(shown.code).toBe(0)
    expect(shown.output).toMatch(/HSET user:1 id 1 name "Ann, A" points 3\.5 ends 1000\n {2}PEXPIREAT user:1 \d+/)
    expect(await get('DBSIZE')).toBe('0')
  })

  it('tells a newcomer what is wrong in one line', async () => {
    const csv = file('csv', CSV)
    for (const [args, code, text] of [
      [[csv], 2, '--key is missing'],
      [[file('ndjson', '{"a":1}\n')], 2, 'no export of this tool'],
      [['/nowhere.csv', '--key', 'x'], 2, 'there is no such file'],
      [['/nowhere.xls', '--key', 'x'], 2, 'does not tell its layout'],
      [[csv, '--key', '{id'], 2, 'brace'],
      [[csv, '--key', '{nothing}'], 2, 'no column is called "nothing"'],
      [[csv, '--key', 'z', '--type', 'zset'], 2, 'needs --member'],
      [[csv, '--key', 'z', '--type', 'tree'], 2, 'tree'],
      [[file('csv', Buffer.from('a\n\xe9\n', 'latin1')), '--key', '{a}'], 1, '--encoding latin-1'],
      [[file('json', '"a"'), '--key', '{a}'], 1, 'must hold objects'],
      [[file('csv.gz', gzipSync(CSV).subarray(0, 40)), '--key', '{id}'], 2, 'damaged or cut'],
    ] as const) {
      const [path, ...flags] = args
      const run = await load(path, ...flags)
      expect([args, run.code, run.output]).toEqual([args, code, expect.stringContaining(text)])
      expect(run.output).not.toContain('    at ')
    }
  })

  it('takes constant memory', async () => {
    const rows = Array.from({ length: 400_000 }, (_, i) => `${i},name ${i},${'x'.repeat(60)}`).join('\n')
    const path = file('csv', `id,name,text\n${rows}\n`)
    const run = await cli(['import', path, '--key', 'u:{id}', '-t', target.url, ...state()], {
      NODE_OPTIONS: '--max-old-space-size=120',
    })
    expect(run.code).toBe(0)
    expect(await get('DBSIZE')).toBe('400000')
  })
})

describe('export', () => {
  it('comes back byte for byte: NDJSON, an RDB, commands', async () => {
    const source = await start()
    await runWorkload(parseEndpoint(source.url), 2, 71)
    await command(source.url, 'SET', Buffer.from([255, 0, 10]), Buffer.from([0, 200, 13]))
    await command(source.url, 'RPUSH', 'binary-list', Buffer.from([255]), 'text')
    for (const name of ['data.ndjson', 'data.ndjson.gz', 'dump.rdb', 'data.resp', 'data.csv']) {
      const path = join(directory, `${files++}-${name}`)
      const run = await cli(['export', '--source', source.url, '--output', path])
      expect([run.code, run.output]).toEqual([0, expect.stringContaining('keys')])
      if (name.endsWith('.csv')) {
        expect(readFileSync(path, 'utf8')).toMatch(/^db,key,type,expireAt,value\r\n/)
        continue
      }
      await command(target.url, 'FLUSHALL')
      if (name.includes('ndjson')) expect((await load(path, '--verify')).code).toBe(0)
      else if (name.endsWith('.rdb')) {
        const run = await cli(['import-rdb', path, '-t', target.url, '--verify', ...state()])
        expect([run.code, run.output]).toEqual([0, expect.stringContaining('VERIFIED')])
      } else await play(path)
      expect([name, await differences(source.url, target.url)]).toEqual([name, []])
    }
    // A server loads the RDB as its own.
    const path = join(directory, 'own.rdb')
    await cli(['export', '-s', source.url, '-o', path])
    const loaded = await Server.start({ args: ['--dbfilename', 'own.rdb', '--dir', directory] })
    stops.push(() => loaded.stop())
    expect(await differences(source.url, loaded.url)).toEqual([])
  })

  it('takes filters and rules, writes to standard output, and leaves nothing half', async () => {
    const source = await start()
    await command(source.url, 'SET', 'a:1', 'x')
    await command(source.url, 'SET', 'b:1', 'y')
    const run = await cli([
      'export',
      '-s',
      source.url,
      '-o',
      '-',
      '--format',
      'ndjson',
      '-f',
      'a:*',
      '--transform-keys',
      'p:{key}',
    ])
    expect(JSON.parse(run.output)).toEqual({ db: 0, key: 'p:a:1', type: 'string', value: 'x' })
    const refused = await cli(['export', '-s', source.url, '-o', '/nowhere/x.ndjson'])
    expect([refused.code, refused.output]).toEqual([2, expect.stringContaining('FM_FILE_UNWRITABLE')])
    const unnamed = await cli(['export', '-s', source.url, '-o', join(directory, 'x')])
    expect([unnamed.code, unnamed.output]).toEqual([2, expect.stringContaining('does not tell its layout')])
  })

  async function play(path: string): Promise<void> {
    const { connect } = await import('node:net')
    const { port } = target
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(readFileSync(path))
        socket.write('*2\r\n$4\r\nECHO\r\n$4\r\ndone\r\n')
      })
      let answers = ''
      socket.on('data', (data) => {
        answers += data.toString('latin1')
        if (/(^|\n)-/.test(answers)) reject(new Error(answers.slice(-4000)))
        if (answers.endsWith('$4\r\ndone\r\n')) {
          socket.end()
          resolve()
        }
      })
    })
  }
})
