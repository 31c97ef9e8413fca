import { describe, expect, it } from 'vitest'
import { logLevelFrom, redactUrl, resolveConfig } from '../../dist/index.js'

describe('configuration', () => {
  it('fills in defaults', () =>
    expect(resolveConfig({ source: 'a', target: 'b' })).toMatchObject({
      mode: 'live',
      batchSize: 1000,
      onConflict: 'replace',
    }))
  it('names every wrong field, and repeats nothing that was given', () => {
    const given = Object.assign({ source: '', target: 'b', parallel: 0, id: 'hidden id' }, { colour: 'red' })
    expect(() => resolveConfig(given)).toThrow(
      expect.objectContaining({
        code: 'FM_CONFIG_INVALID',
        message: expect.stringMatching(/^(?!.*hidden)source.*id.*parallel.*colour/),
      }),
    )
  })
  it.each([
    [{ filter: { slots: ['1-2-3'] } }, /filter\.slots\.0/],
    [{ filter: { maxSize: 5 * 1024 * 1024 } }, /filter\.maxSize/],
    [{ dbMap: { x: 1 } }, /dbMap/],
    [{ ttl: 0 }, /ttl/],
    [{ intervalMs: 999 }, /intervalMs/],
  ])('refuses %j', (wrong, message) => {
    expect(() => resolveConfig({ source: 'a', target: 'b', ...wrong })).toThrow(message)
  })
  it('takes secrets out of URLs', () => expect(redactUrl('redis://u:p@ss@h:1/2?password=x')).toBe('redis://h:1/2'))
})

describe('a log level', () => {
  it.each([
    [{ RUST_LOG: 'debug' }, 'debug'],
    [{ RUST_LOG: 'ferrite_migrate=trace', FERRITE_MIGRATE_LOG: 'warn' }, 'warn'],
    [{ RUST_LOG: 'nonsense,other=INFO' }, 'info'],
    [{ RUST_LOG: 'nonsense' }, undefined],
    [{}, undefined],
  ])('of %j is %s', (environment, level) => {
    expect(logLevelFrom(environment)).toBe(level)
  })
})
