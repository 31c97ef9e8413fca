import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { hasSecret, type MigrationConfig, resolveConfig, storableConfig } from '../../dist/index.js'
import { resumedConfig } from '../../dist/state/stored-config.js'
import { directory } from '../doubles.js'
import { storedMigration } from './stored-migration.js'

const place = directory()

describe('what is stored of a configuration', () => {
  it('holds no password, and knows that there was one', () => {
    const config = resolveConfig({
      source: 'redis://user:se%40cret@host:1/2?password=hidden&tls-ca=/ca.pem',
      target: 'ferrite://host',
      sourceOptions: { password: 'hidden', 'password-env': 'NAME' },
      notifications: { slack: 'https://hooks/hidden' },
    })
    const stored = storableConfig(config)
    expect(stored).not.toMatch(/hidden|se%40cret/)
    expect(stored).toContain('redis://user@host:1/2?password=&tls-ca=/ca.pem')
    expect(stored).toContain('NAME')
    expect(hasSecret(config.source, {})).toBe(true)
    expect(hasSecret(config.target, config.targetOptions)).toBe(false)
  })

  it('names files so that they are found from another directory', () => {
    const stored = JSON.parse(storableConfig(resolveConfig({ source: 'a://', target: 'b://', transform: 't.yaml' })))
    expect([stored.transform, stored.errorsFile]).toEqual([
      join(process.cwd(), 't.yaml'),
      join(process.cwd(), 'errors.ndjson'),
    ])
  })
})

describe('a configuration that goes on', () => {
  afterEach(() => {
    delete process.env.FERRITE_MIGRATE_SOURCE_PASSWORD
  })
  const stored = (config: MigrationConfig, facts = {}) =>
    storedMigration({ config: storableConfig(resolveConfig(config)), facts })

  it('is what was stored under what is given anew, options and filters one by one', () => {
    const row = stored({
      ...{ source: 'redis://a', target: 'ferrite://b', batchSize: 7, sourceOptions: { tls: true, user: 'x' } },
      filter: { include: ['a*'], dbs: [1] },
    })
    expect(resumedConfig(row, { batchSize: 9, sourceOptions: { user: 'y' }, filter: { dbs: [2] } })).toMatchObject({
      ...{ id: 'm', resume: true, source: 'redis://a', batchSize: 9, sourceOptions: { tls: true, user: 'y' } },
      filter: { include: ['a*'], dbs: [2] },
    })
  })

  it('asks for a password that is not stored, wherever it may come from', () => {
    const row = stored({ source: 'redis://u:p@a', target: 'ferrite://b' }, { sourceSecret: true })
    expect(() => resumedConfig(row, {})).toThrow(expect.objectContaining({ code: 'FM_RESUME_PASSWORD' }))
    resumedConfig(row, { source: 'redis://u:p@a' })
    resumedConfig(row, { sourceOptions: { 'password-file': '/x' } })
    process.env.FERRITE_MIGRATE_SOURCE_PASSWORD = 'p'
    resumedConfig(row, {})
  })

  it('finds out anew who is told, from the file it came from', () => {
    const file = join(place, 'm.yaml')
    writeFileSync(file, 'source: redis://a\ntarget: redis://b\nnotifications:\n  webhook: https://h/new\n')
    const given = { source: 'redis://a', target: 'redis://b', configFile: file }
    const row = stored({ ...given, notifications: { webhook: 'https://h/old' } })
    expect(resumedConfig(row, {}).notifications).toEqual({ webhook: 'https://h/new' })
    expect(resumedConfig(row, { notifications: { slack: 'https://s' } }).notifications).toEqual({ slack: 'https://s' })
    const lost = stored({ ...given, configFile: join(place, 'none.yaml'), notifications: { webhook: 'https://h/old' } })
    expect(resumedConfig(lost, {}).notifications?.off).toEqual([
      expect.stringContaining('none.yaml cannot be read any more (FM_FILE_UNREADABLE)'),
    ])
  })

  it('of a version that kept none has to be given whole', () => {
    expect(() => resumedConfig(storedMigration({ config: '{}' }), {})).toThrow(
      expect.objectContaining({ code: 'FM_RESUME_OLD' }),
    )
  })
})
