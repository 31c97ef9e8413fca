import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { testContext, testSource, testTransform } from '@ferrite-migrate/conformance'
import { type CreateSource, type CreateTransform, stringRecord } from '@ferrite-migrate/contracts'
import { findPlugin, Migration, Registry } from '@ferrite-migrate/core'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { beforeAll, describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const ROWS = resolve(import.meta.dirname, '..', 'source-rows')
const SHOUT = resolve(import.meta.dirname, '..', 'transform-shout')

execFileSync(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', ROWS])
const { createSource } = (await import(pathToFileURL(join(ROWS, 'dist', 'index.js')).href)) as {
  createSource: CreateSource
}
const { createTransform } = (await import(pathToFileURL(join(SHOUT, 'src', 'index.js')).href)) as {
  createTransform: CreateTransform
}
const files = mkdtempSync(join(tmpdir(), 'fm-rows-'))
let serial = 0
const file = (text: string): string => {
  const path = join(files, `${serial++}.tsv`)
  writeFileSync(path, text)
  return path
}

testSource({ describe, it }, 'rows', async () => {
  const path = file('a\t1\nb\t2\n')
  return {
    source: await createSource(testContext(`rows://${path}`, { look: 20 })),
    expected: [stringRecord('a', '1'), stringRecord('b', '2')],
    types: ['string'],
    change: async (key, value) => appendFileSync(path, `${key}\t${value}\n`),
    broken: () => createSource(testContext('rows:///there/is/none')),
  }
})

testTransform({ describe, it }, 'shout', async () => {
  const open = () => createTransform(testContext('', { mark: '!' }))
  return { transform: await open(), refused: Buffer.from([0xff]), again: open }
})

describe('both together', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await TestServer.start()
    return async () => server.stop()
  })

  it('follow a file into a server, with the rule on the way, and are verified', async () => {
    const path = file('a\tone\n')
    const rules = join(files, 'rules.yaml')
    writeFileSync(rules, 'transformations:\n  values:\n    - type: shout\n      mark: "?"\n')
    const registry = new Registry([
      findPlugin(ROWS, ROOT),
      findPlugin(SHOUT, ROOT),
      findPlugin('@ferrite-migrate/target-ferrite', ROOT),
    ])
    const migration = new Migration(
      {
        ...{ source: `rows://${path}`, target: server.url, mode: 'live', transform: rules, verify: true },
        ...{ stateDir: join(files, 'state'), sourceOptions: { look: '20ms' } },
      },
      { registry },
    )
    const link = await RedisLink.open(parseEndpoint(server.url))
    const get = async (key: string): Promise<string> => String(await link.call('GET', key))
    const over = migration.start()
    await until(async () => (await get('a')) === 'ONE?', 'the snapshot')
    appendFileSync(path, 'b\ttwo\na\tthree\n')
    await until(async () => (await get('a')) === 'THREE?' && (await get('b')) === 'TWO?', 'the changes')
    writeFileSync(path, 'b\ttwo\n')
    await until(async () => (await get('a')) === 'null', 'what is gone')
    migration.stop()
    await over
    link.close()
    expect(registry.uses.map(({ name, what }) => [name, what])).toEqual(
      expect.arrayContaining([
        ['ferrite-migrate-source-rows', ['source rows']],
        ['ferrite-migrate-transform-shout', ['transform shout']],
      ]),
    )
  })
})
