import { MemoryStore } from '@ferrite-migrate/conformance'
import type { SnapshotRecord, Source, SourceEvent } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { keyRule, NO_TRANSFORM, RecordFilter, RecordTransform } from '../../dist/index.js'
import { verifyFile } from '../../dist/verify/file-verification.js'
import type { VerifyOptions } from '../../dist/verify/verify-report.js'
import { bytes, command, record } from '../doubles.js'

let target: MemoryStore
beforeEach(() => {
  target = new MemoryStore()
})

/** A file of one event a list; `released` counts those that it may forget. */
function file(...events: readonly (readonly SnapshotRecord[])[]): { source: Source; released: number } {
  const state = {
    released: 0,
    source: {
      capabilities: { changes: 'none', resume: 'none' },
      description: {},
      shards: [
        {
          id: '0',
          read: async function* (): AsyncGenerator<SourceEvent> {
            for (const records of events)
              yield { kind: 'snapshot', records, byteLength: 0, release: () => state.released++ }
          },
        },
      ],
      [Symbol.asyncDispose]: async () => undefined,
    } satisfies Source,
  }
  return state
}

/** A value in slices; `isRead` tells whether they were read to their end, without which a file cannot go on. */
function sliced(key: string, ...items: string[]): { record: SnapshotRecord; isRead: () => boolean } {
  let read = false
  const slices = (async function* () {
    for (const item of items) yield { items: [bytes(item)] }
    read = true
  })()
  return { record: { ...record(key), value: { form: 'sliced', type: 'list', slices } }, isRead: () => read }
}
const list = (key: string, ...items: string[]): SnapshotRecord => ({
  ...record(key),
  value: { form: 'items', type: 'list', items: items.map(bytes) },
})

const options = (given: Partial<VerifyOptions> = {}): VerifyOptions => ({
  filter: new RecordFilter({}),
  transform: NO_TRANSFORM,
  digest: {},
  ttlToleranceMs: 1000,
  rounds: 1,
  pauseMs: 1,
  signal: new AbortController().signal,
  ...given,
})
const verify = (source: Source, given: Partial<VerifyOptions> = {}) => {
  const made = options(given)
  return verifyFile({ source, targetReader: target.reader(), filter: made.filter }, made)
}

describe('a file', () => {
  it('is compared record by record, and what the target has besides shows at its end', async () => {
    for (const one of [record('a'), record('b', 'there'), record('d')]) target.set(one)
    const { source } = file([record('a'), record('b', 'here')], [record('c')])
    const report = await verify(source)
    expect(report.differences.map(({ kind, key }) => [kind, key])).toEqual([
      ['value', 'b'],
      ['missing-target', 'c'],
      ['missing-source', 'd'],
    ])
    expect([report.compared, report.matching, report.equal]).toEqual([4, 1, false])
  })

  it('may forget each event once it is compared', async () => {
    const one = file([record('a')], [record('b')], [])
    await verify(one.source)
    expect(one.released).toBe(3)
  })

  it('with names of its own is compared under those of the target', async () => {
    target.set(record('new:a'))
    const transform = new RecordTransform({
      ...{ valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
      keyRules: [keyRule({ type: 'prefix', value: 'new:' })],
    })
    expect(await verify(file([record('a')]).source, { transform })).toMatchObject({ compared: 1, equal: true })
  })

  it('is compared as far as the filter goes', async () => {
    target.set(record('a'))
    const filter = new RecordFilter({ include: ['a*'] })
    expect(await verify(file([record('a'), record('b')]).source, { filter })).toMatchObject({
      compared: 1,
      equal: true,
    })
  })

  it('of large values, which come in slices, is compared like any other', async () => {
    target.set(list('same', 'x', 'y'))
    target.set(list('value', 'x', 'there'))
    const [same, other] = [sliced('same', 'x', 'y'), sliced('value', 'x', 'here')]
    const report = await verify(file([same.record], [other.record]).source)
    expect(report.differences.map(({ kind, key }) => [kind, key])).toEqual([['value', 'value']])
    expect([same.isRead(), other.isRead()]).toEqual([true, true])
  })

  it('goes on behind a large value that nobody wants', async () => {
    const one = sliced('b', 'x')
    const report = await verify(file([one.record], [record('b:2')]).source, {
      filter: new RecordFilter({ exclude: ['b*'] }),
    })
    expect([report.compared, one.isRead()]).toEqual([0, true])
  })

  it('that can be read once, or holds commands, is refused', async () => {
    const once = file().source
    await expect(verify({ ...once, capabilities: { ...once.capabilities, readOnce: true } })).rejects.toMatchObject({
      code: 'FM_VERIFY_UNSUPPORTED',
    })
    const commands: Source = {
      ...once,
      shards: [
        {
          id: '0',
          read: async function* (): AsyncGenerator<SourceEvent> {
            yield { kind: 'changes', records: [command('SET', 'a', 'v')], byteLength: 0, position: '1' }
          },
        },
      ],
    }
    await expect(verify(commands)).rejects.toMatchObject({ code: 'FM_VERIFY_UNSUPPORTED' })
  })
})
