import { copyFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import {
  ControlLink,
  keyspaceDifferences,
  memcachedMissing,
  TestMemcached,
  TestServer,
  until,
} from '@ferrite-migrate/servers'
import type { Project } from './package-managers.js'

/** What the trials read: made once. */
export interface Fixtures {
  readonly source: TestServer
  /** What `source` holds, as a file. */
  readonly dump: string
}

/** What is done with a plugin to see that it works where it was installed. */
export interface PluginTrial {
  readonly plugin: string
  /** What else it needs beside the program and the target. */
  readonly beside?: readonly string[]
  /** @throws Error what was wrong */
  run(project: Project, fixtures: Fixtures, target: TestServer): Promise<void>
}

export async function makeFixtures(directory: string): Promise<Fixtures> {
  const source = await TestServer.start()
  const link = new ControlLink(source.url)
  try {
    for (let i = 0; i < 200; i++) await link.call('SET', `user:${i}`, `value ${i}`)
    await link.call('HSET', 'hash', 'field', 'value')
    await link.call('ZADD', 'zset', '1.5', 'member')
    await link.call('SAVE')
  } finally {
    link.close()
  }
  const dump = join(directory, 'dump.rdb')
  copyFileSync(join(source.directory, 'dump.rdb'), dump)
  return { source, dump }
}

/** Runs the program to an end with exit code 0, and holds the target against the source. */
async function migrates(
  project: Project,
  args: readonly string[],
  fixtures: Fixtures,
  target: TestServer,
): Promise<void> {
  await does(project, args, /COMPLETED|VERIFIED/)
  const [different] = await keyspaceDifferences(fixtures.source.url, target.url)
  if (different !== undefined) throw new Error(`${different.key}: ${different.what}`)
}

async function does(project: Project, args: readonly string[], says: RegExp, input = ''): Promise<string> {
  const { code, output } = await project.program(args, { input })
  if (code !== 0 || !says.test(output) || /Warning/.test(output))
    throw new Error(`ferrite-migrate ${args.join(' ')} ended with ${code}:\n${output.slice(-3000)}`)
  return output
}

async function sizeOf(target: TestServer): Promise<number> {
  const link = new ControlLink(target.url)
  try {
    return Number(await link.call('DBSIZE'))
  } finally {
    link.close()
  }
}

async function holds(target: TestServer, keys: number): Promise<void> {
  const found = await sizeOf(target)
  if (found !== keys) throw new Error(`the target holds ${found} keys, and not ${keys}`)
}

const ends = (fixtures: Fixtures, target: TestServer): string[] => ['-s', fixtures.source.url, '-t', target.url]
const snapshot = (fixtures: Fixtures, target: TestServer): string[] => [
  'migrate',
  ...ends(fixtures, target),
  '-m',
  'snapshot',
]

function byScript(name: string, text: string): PluginTrial['run'] {
  return async (project, fixtures, target) => {
    const script = join(project.directory, name)
    writeFileSync(script, text)
    await does(project, [...snapshot(fixtures, target), '--transform-script', script], /COMPLETED/)
    await holds(target, 202)
    const link = new ControlLink(target.url)
    try {
      if ((await link.call('EXISTS', 'new:user:1')) !== 1) throw new Error('the script renamed nothing')
    } finally {
      link.close()
    }
  }
}

const REDIS = ['@ferrite-migrate/source-redis']

export const PLUGIN_TRIALS: readonly PluginTrial[] = [
  {
    plugin: '@ferrite-migrate/source-redis',
    run: (project, fixtures, target) =>
      migrates(project, [...snapshot(fixtures, target), '--verify'], fixtures, target),
  },
  {
    plugin: '@ferrite-migrate/source-rdb',
    run: (project, fixtures, target) =>
      migrates(project, ['import-rdb', fixtures.dump, '-t', target.url], fixtures, target),
  },
  {
    plugin: '@ferrite-migrate/source-aof',
    run: async (project, _fixtures, target) => {
      const file = join(project.directory, 'appendonly.aof')
      writeFileSync(file, '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$1\r\nd\r\n')
      await does(project, ['import-aof', file, '-t', target.url], /COMPLETED/)
      await holds(target, 2)
    },
  },
  {
    plugin: '@ferrite-migrate/source-jsoncsv',
    run: async (project, _fixtures, target) => {
      const file = join(project.directory, 'rows.csv')
      writeFileSync(file, 'id,name\n1,Ada\n2,Grace\n')
      await does(project, ['import', file, '--key', 'user:{id}', '-t', target.url], /COMPLETED/)
      await holds(target, 2)
    },
  },
  {
    plugin: '@ferrite-migrate/source-memcached',
    run: async (project, _fixtures, target) => {
      if (memcachedMissing() !== null) return
      const cache = await TestMemcached.start()
      try {
        await does(
          project,
          ['migrate', '-s', `memcached://127.0.0.1:${cache.port}`, '-t', target.url, '-m', 'snapshot'],
          /COMPLETED/,
        )
      } finally {
        await cache.stop()
      }
    },
  },
  {
    plugin: '@ferrite-migrate/transform-script',
    beside: REDIS,
    run: byScript('rename.ts', 'export function transformKey(key: string): string { return `new:${key}` }\n'),
  },
  {
    plugin: '@ferrite-migrate/transform-python',
    beside: REDIS,
    run: byScript('rename.py', 'def transform_key(key):\n    return "new:" + key\n'),
  },
  {
    plugin: '@ferrite-migrate/transform-jq',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      const rules = join(project.directory, 'transform.yaml')
      writeFileSync(rules, `transformations:\n  values:\n    - type: jq\n      filter: '"by jq"'\n      match: hash\n`)
      await does(
        project,
        [...snapshot(fixtures, target), '--transform', rules, '--on-transform-error', 'pass'],
        /COMPLETED/,
      )
      await holds(target, 202)
    },
  },
  {
    plugin: '@ferrite-migrate/export',
    beside: REDIS,
    run: async (project, { source }) => {
      await does(project, ['export', '-s', source.url, '-o', join(project.directory, 'dump.ndjson')], /202/)
    },
  },
  {
    plugin: '@ferrite-migrate/verify-hash',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      await does(project, snapshot(fixtures, target), /COMPLETED/)
      await does(project, ['verify-hash', '--full', ...ends(fixtures, target)], /equal|EQUAL|VERIFIED/)
    },
  },
  {
    plugin: '@ferrite-migrate/benchmark',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      await does(
        project,
        ['benchmark', ...ends(fixtures, target), '-n', '200', '--keyspace', '100', '--clients', '2'],
        /GET/,
      )
    },
  },
  {
    plugin: '@ferrite-migrate/serve',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      const config = { source: fixtures.source.url, target: target.url, mode: 'snapshot' }
      const messages = [
        { id: 1, method: 'initialize', params: { protocolVersion: 1 } },
        // What is not detached ends with the input, which is over at once.
        { id: 2, method: 'migration.start', params: { config: { ...config, id: 'by-rpc' }, detach: true } },
      ].map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
      await does(project, ['rpc'], /"id":2,"result":\{"id":"by-rpc"\}/, messages.join(''))
      await until(async () => (await sizeOf(target)) === 202, 'the migration by JSON-RPC')
    },
  },
  {
    plugin: '@ferrite-migrate/runner-bullmq',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      const queue = await TestServer.start()
      try {
        await does(
          project,
          [...snapshot(fixtures, target), '--queue', queue.url, '--detach'],
          /workers of the queue go on/,
        )
      } finally {
        await queue.stop()
      }
    },
  },
  {
    plugin: '@ferrite-migrate/otlp',
    beside: REDIS,
    run: async (project, fixtures, target) => {
      let pushed = 0
      const collector = createServer((request, response) => {
        request.resume().on('end', () => {
          pushed++
          response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
        })
      })
      await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done))
      const address = collector.address()
      try {
        if (address === null || typeof address === 'string') throw new Error('the collector has no port')
        await migrates(
          project,
          [...snapshot(fixtures, target), '--otlp', `http://127.0.0.1:${address.port}`],
          fixtures,
          target,
        )
        if (pushed === 0) throw new Error('the collector was told nothing')
      } finally {
        collector.closeAllConnections()
        collector.close()
      }
    },
  },
]
