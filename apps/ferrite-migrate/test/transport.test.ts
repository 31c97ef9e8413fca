import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { CONTRACT_MAJOR } from '@ferrite-migrate/contracts'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, freePort, onPath, TestServer } from '@ferrite-migrate/servers'
import { defaultRegistry, findPlugin, Migration, Registry } from 'ferrite-migrate'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, differences, migration, stateDir } from './run.js'

let target: TestServer
beforeAll(async () => {
  target = await TestServer.start()
})
afterAll(async () => {
  await target?.stop()
})

describe('ways to a source', () => {
  it('a Unix socket', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'fm-sock-')), 'redis.sock')
    const source = await TestServer.start({ args: ['--unixsocket', path] })
    await command(source.url, 'SET', 'by-socket', '1')
    await migration({ mode: 'snapshot', source: `redis+unix://${path}`, target: target.url }).start()
    expect(String(await command(target.url, 'GET', 'by-socket'))).toBe('1')
    await source.stop()
  })

  it('TLS with a CA and a client certificate; verification on by default', async (context) => {
    const found = await findServer('7.0')
    if ('reason' in found || onPath('openssl') === undefined)
      return context.skip('needs redis-server with TLS and openssl')
    const dir = mkdtempSync(join(tmpdir(), 'fm-tls-'))
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '2',
      '-subj',
      '/CN=test ca',
    )
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'server.key',
      '-out',
      'server.csr',
      '-subj',
      '/CN=localhost',
    )
    writeFileSync(join(dir, 'ext'), 'subjectAltName=DNS:localhost')
    openssl(
      'x509',
      '-req',
      '-in',
      'server.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      'server.pem',
      '-days',
      '2',
      '-extfile',
      'ext',
    )
    const tlsPort = await freePort()
    const source = await TestServer.start({
      args: [
        '--tls-port',
        String(tlsPort),
        '--tls-cert-file',
        join(dir, 'server.pem'),
        '--tls-key-file',
        join(dir, 'server.key'),
        '--tls-ca-cert-file',
        join(dir, 'ca.pem'),
      ],
    }).catch((error: Error) => error)
    if (source instanceof Error) {
      if (!/Bad directive|built with TLS/i.test(source.message)) throw source
      return context.skip('this redis-server has no TLS')
    }
    try {
      await command(source.url, 'SET', 'by-tls', '1')
      const client = {
        'tls-ca': join(dir, 'ca.pem'),
        'tls-cert': join(dir, 'server.pem'),
        'tls-key': join(dir, 'server.key'),
      }
      const url = `rediss://localhost:${tlsPort}`
      await migration({ mode: 'snapshot', source: url, target: target.url, sourceOptions: client }).start()
      expect(String(await command(target.url, 'GET', 'by-tls'))).toBe('1')
      await expect(migration({ mode: 'snapshot', source: url, target: target.url }).start()).rejects.toMatchObject({
        code: 'FM_CONNECT_TLS',
      })
      await expect(
        migration({
          mode: 'snapshot',
          source: url,
          target: target.url,
          sourceOptions: { ...client, 'tls-servername': 'other.example' },
        }).start(),
      ).rejects.toMatchObject({ code: 'FM_CONNECT_TLS' })
    } finally {
      await source.stop()
    }
  })

  it('an ACL user', async () => {
    const source = await TestServer.start()
    await command(source.url, 'SET', 'by-acl', '1')
    await command(
      source.url,
      'ACL',
      'SETUSER',
      'migrate',
      'on',
      '>s3cr3t',
      '~*',
      '&*',
      '+@read',
      '+@connection',
      '+psync',
      '+replconf',
      '+info',
      '+role',
      '+time',
      '+command',
      '+config|get',
      '+memory|usage',
      '+acl|whoami',
      '+multi',
      '+exec',
    )
    const report = await migration({
      mode: 'live',
      exit: true,
      verify: true,
      source: source.url.replace('//', '//migrate:s3cr3t@'),
      target: target.url,
      onConflict: 'replace',
      filter: { include: ['by-acl'] },
    }).start()
    expect(report.verification?.equal).toBe(true)
    expect(JSON.stringify(report)).not.toContain('s3cr3t')
    await command(
      source.url,
      'ACL',
      'SETUSER',
      'weak',
      'on',
      '>pw',
      '~*',
      '&*',
      '+@read',
      '+@connection',
      '+info',
      '+config',
      '+time',
      '+acl|whoami',
    )
    const weak = await migration({
      mode: 'snapshot',
      source: source.url.replace('//', '//weak:pw@'),
      target: target.url,
    }).start()
    expect(weak.status.capture).toBe('notifications')
    await source.stop()
  })
})

describe('large values', () => {
  it('never show half-written under their real name', async () => {
    const source = await TestServer.start()
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 400; i++) {
        out.call('HSET', 'large-hash', ...Array.from({ length: 200 }, (_, n) => [`f${i}-${n}`, 'v'.repeat(20)]).flat())
        out.call('RPUSH', 'large-list', ...Array.from({ length: 100 }, (_, n) => `${i}-${n}-${'e'.repeat(60)}`))
      }
      out.call('SET', 'large-string', 'abc'.repeat(1_500_000))
      out.call('PEXPIRE', 'large-hash', 3_600_000)
      return 802
    })
    await command(target.url, 'FLUSHALL')
    const look = await RedisLink.open(parseEndpoint(target.url))
    let looking = true
    const sizes = new Set<string>()
    const watch = (async () => {
      while (looking) {
        const replies = await look.pipeline((out) => {
          out.call('HLEN', 'large-hash')
          out.call('LLEN', 'large-list')
          out.call('STRLEN', 'large-string')
          return 3
        })
        for (const [i, reply] of replies.entries()) sizes.add(`${i}:${reply}`)
      }
    })()
    await migration({
      mode: 'snapshot',
      source: source.url,
      target: target.url,
      sourceOptions: { 'slice-limit': '200kb' },
    }).start()
    looking = false
    await watch
    expect([...sizes].sort()).toEqual(
      ['0:0', '0:80000', '1:0', '1:40000', '2:0', '2:4500000'].filter((size) => sizes.has(size)),
    )
    expect(await differences(source.url, target.url)).toEqual([])
    expect(await look.call('DBSIZE')).toBe(3)
    look.close()
    link.close()
    await source.stop()
  })
})

describe('a third party', () => {
  it('brings its own source with no change to the core', async () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'fm-plugin-')), 'node_modules', 'ferrite-migrate-source-fixed')
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({
        name: 'ferrite-migrate-source-fixed',
        type: 'module',
        ferriteMigrate: {
          contract: CONTRACT_MAJOR,
          adapters: [
            {
              kind: 'source',
              name: 'fixed',
              schemes: ['fixed'],
              module: './index.js',
            },
          ],
        },
      }),
    )
    writeFileSync(
      join(folder, 'index.js'),
      `export async function createSource() {
        return {
          capabilities: { changes: 'none', resume: 'none' }, description: { product: 'fixed' },
          shards: [{ id: '0', async *read() {
            yield { kind: 'sync', mode: 'full', keys: 1 }
            yield { kind: 'snapshot', byteLength: 1, records: [{ db: 0, key: Buffer.from('third'), expireAt: 0, value: { form: 'items', type: 'set', items: [Buffer.from('party')] } }] }
            yield { kind: 'snapshot-end' }
          } }],
          async [Symbol.asyncDispose]() {},
        }
      }`,
    )
    const builtIn = ['source-redis', 'target-ferrite'].map((name) =>
      findPlugin(resolve(import.meta.dirname, '..', '..', '..', 'plugins', name), '/'),
    )
    const registry = new Registry([...builtIn, findPlugin('ferrite-migrate-source-fixed', resolve(folder, '..', '..'))])
    await new Migration(
      { mode: 'snapshot', source: 'fixed://x', target: target.url, stateDir: stateDir() },
      { registry },
    ).start()
    expect(String(await command(target.url, 'SISMEMBER', 'third', 'party'))).toBe('1')
    expect(() => findPlugin('no-such-plugin', '/')).toThrow(expect.objectContaining({ code: 'FM_PLUGIN_MISSING' }))
    expect(defaultRegistry().adapters('target')).toHaveLength(1)
  })
})
