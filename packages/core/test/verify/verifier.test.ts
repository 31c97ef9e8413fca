import { MemoryStore } from '@ferrite-migrate/conformance'
import { type KeyReader, type RawPage, SLICED_SHAPE, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import { keyRule, NO_TRANSFORM, RecordFilter, RecordTransform } from '../../dist/index.js'
import { Verifier } from '../../dist/verify/verifier.js'
import type { VerifyOptions } from '../../dist/verify/verify-report.js'
import { bytes, record } from '../doubles.js'

const END = 1_900_000_000_000
let source: MemoryStore
let target: MemoryStore
beforeEach(() => {
  source = new MemoryStore()
  target = new MemoryStore()
})

const options = (given: Partial<VerifyOptions> = {}): VerifyOptions => ({
  filter: new RecordFilter({}),
  transform: NO_TRANSFORM,
  digest: {},
  ttlToleranceMs: 1000,
  rounds: 2,
  pauseMs: 1,
  signal: new AbortController().signal,
  ...given,
})
const verify = (given: Partial<VerifyOptions> = {}, from: KeyReader = source.reader(), to = target.reader()) =>
  new Verifier(from, to, options(given))
const list = (key: string, ...items: string[]): SnapshotRecord => ({
  ...record(key),
  value: { form: 'items', type: 'list', items: items.map(bytes) },
})
const both = (...records: SnapshotRecord[]): void => {
  for (const one of records) {
    source.set(one)
    target.set(one)
  }
}
function rules(given: Partial<ConstructorParameters<typeof RecordTransform>[0]>): RecordTransform {
  return new RecordTransform({
    ...{ keyRules: [], valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
    ...given,
  })
}
const prefixed = rules({ keyRules: [keyRule({ type: 'prefix', value: 'new:' })] })

describe('a comparison by value', () => {
  it('of equal ends is equal', async () => {
    both(record('a'), record('b', 'v', END), record('c', 'v', 0, 3), list('d', 'x', 'y'))
    const report = await verify().run()
    expect(report).toMatchObject({
      ...{ compared: 4, matching: 4, mismatched: 0, missingSource: 0, missingTarget: 0, differences: [] },
      ...{ equal: true, complete: true, leftOut: 0, foreign: 0, nothing: false },
    })
  })

  it('may have its keys compared elsewhere, and looks again only at what differs there', async () => {
    both(
      ...Array.from({ length: 50 }, (_, i) => record(`a${i}`)),
      ...Array.from({ length: 50 }, (_, i) => record(`b${i}`)),
    )
    source.set(record('a7', 'here'))
    source.set(record('b3', 'late'))
    target.set(record('only there'))
    const asked: string[] = []
    const reading = source.reader()
    const read = reading.read.bind(reading)
    let looked = 0
    const here = Object.assign(reading, {
      read: (db: number, keys: readonly Buffer[], whole?: boolean) => {
        looked += keys.length
        return read(db, keys, whole)
      },
      raw: undefined,
    })
    const elsewhere: NonNullable<VerifyOptions['elsewhere']> = async (done) => {
      const parts = await Promise.all(
        ['a', 'b'].map(async (shard) => {
          const part = await verify().part([shard], (_, key) => key.toString().startsWith(shard))
          asked.push(shard)
          return { ...part, slots: null }
        }),
      )
      done(100)
      // What was only on its way.
      target.set(record('b3', 'late'))
      return parts
    }
    const report = await verify({ elsewhere }, here).run()
    expect(asked.sort()).toEqual(['a', 'b'])
    expect(report).toMatchObject({ compared: 101, matching: 99, mismatched: 1, missingSource: 1, equal: false })
    expect(report.differences.map(({ kind, key }) => `${kind} ${key}`).sort()).toEqual([
      'missing-source only there',
      'value a7',
    ])
    expect(looked).toBeLessThan(20)
    // Where that cannot be done, and where keys have other names, all are compared here.
    expect(await verify({ elsewhere: async () => null }).run()).toMatchObject({ compared: 101, mismatched: 1 })
    const never = () => Promise.reject(new Error('asked'))
    expect(await verify({ elsewhere: never, transform: prefixed }).run()).toMatchObject({ equal: false })
  })

  it('of a part is not complete when more differs than is named, or when it is ended before', async () => {
    for (let i = 0; i < 20_001; i++) source.set(record(`k${i}`))
    expect(await verify().part(['s'], () => true)).toMatchObject({ compared: 20_001, complete: false })
    expect(await verify({ signal: AbortSignal.abort() }).part(['s'], () => true)).toMatchObject({ complete: false })
    expect(await verify().part(['s'], () => false)).toMatchObject({ compared: 0, complete: true, differences: [] })
  })

  it('finds every kind of difference, with what differs', async () => {
    both(record('same'))
    source.set(record('value', 'here'))
    target.set(record('value', 'there'))
    source.set(list('type', 'a'))
    target.set(record('type'))
    source.set(record('ttl', 'v', END))
    target.set(record('ttl', 'v', END + 5000))
    source.set(record('lasting'))
    target.set(record('lasting', 'v', END))
    source.set(record('only here\xff'))
    target.set(record('only there', 'v', 0, 2))
    const report = await verify().run()
    expect(report).toMatchObject({
      ...{ compared: 7, matching: 1, mismatched: 4, missingSource: 1, missingTarget: 1, equal: false },
    })
    expect(report.differences.map(({ kind, db, key, detail }) => [kind, db, key, detail]).sort()).toEqual([
      ['missing-source', 2, 'only there', 'only at the target'],
      ['missing-target', 0, 'only here\\xff', 'only at the source'],
      ['ttl', 0, 'lasting', 'expires never at the source, 2030-03-17T17:46:40.000Z at the target'],
      ['ttl', 0, 'ttl', 'expires 2030-03-17T17:46:40.000Z at the source, 2030-03-17T17:46:45.000Z at the target'],
      ['type', 0, 'type', 'list at the source, string at the target'],
      ['value', 0, 'value', 'the string differs'],
    ])
    const value = report.differences.find(({ kind }) => kind === 'value')
    expect([value?.keyBase64, value?.partCount, value?.parts?.[0]]).toMatchObject([
      bytes('value').toString('base64'),
      1,
      { part: 'value', source: { text: 'here' }, target: { text: 'there' } },
    ])
  })

  it('counts only what stays: a key that changes meanwhile is looked at again', async () => {
    both(record('still'))
    source.set(record('late', 'new'))
    target.set(record('late', 'old'))
    source.set(record('wrong', 'new'))
    target.set(record('wrong', 'old'))
    const again: number[] = []
    const report = await verify({
      rounds: 3,
      onProgress: ({ stage, total }) => {
        if (stage !== 'again') return
        again.push(total ?? -1)
        target.set(record('late', 'new'))
      },
    }).run()
    expect(report.differences.map(({ key }) => key)).toEqual(['wrong'])
    expect(again).toEqual([2, 2, 1])
    expect([report.compared, report.matching, report.mismatched]).toEqual([3, 2, 1])
  })

  it('takes a key whose time is over for gone, on either side, and one that ends at once for ending', async () => {
    source.set(record('over', 'v', 1000))
    target.set(record('over too', 'v', 1000))
    source.set(record('ending', 'v', Date.now() + 900))
    expect(await verify({ rounds: 1 }).run()).toMatchObject({ equal: true, differences: [] })
    source.set(record('later', 'v', Date.now() + 20_000))
    expect((await verify().run()).missingTarget).toBe(1)
    expect((await verify({ endsSoonMs: 30_000 }).run()).missingTarget).toBe(0)
  })

  it('does not look at ends where they are not carried, or held back', async () => {
    for (const key of ['a', 'b']) {
      source.set(record(key, 'v', END))
      target.set(record(key, 'v', END + 60_000))
    }
    expect((await verify().run()).mismatched).toBe(2)
    expect((await verify({ comparesEnds: false }).run()).mismatched).toBe(0)
    expect((await verify({ held: (_, key) => String(key) === 'a' }).run()).differences.map(({ key }) => key)).toEqual([
      'b',
    ])
    expect((await verify({ ttlToleranceMs: 60_000 }).run()).equal).toBe(true)
  })

  it('names what only the target has, unless it is nobody’s business', async () => {
    target.set(record('theirs'))
    target.set(record('ours'))
    target.set(record('other:x'))
    const report = await verify({
      filter: new RecordFilter({ exclude: ['other:*'] }),
      foreign: (_, key) => String(key) === 'theirs',
    }).run()
    expect(report).toMatchObject({ missingSource: 1, foreign: 1, differences: [{ key: 'ours' }] })
  })

  it('says that nothing was compared, which is no equality', async () => {
    source.set(record('a'))
    const filter = new RecordFilter({ include: ['none:*'] })
    expect(await verify({ filter }).run()).toMatchObject({ compared: 0, nothing: true, equal: false })
    source.records.clear()
    expect(await verify({ filter }).run()).toMatchObject({ compared: 0, nothing: false, equal: true })
  })

  it('that is ended is never complete', async () => {
    both(record('a'))
    expect(await verify({ signal: AbortSignal.abort() }).run()).toMatchObject({ complete: false, equal: false })
  })

  it('counts what was left out and told so apart', async () => {
    both(record('a'))
    source.set(record('left out'))
    source.set(record('lost'))
    const report = await verify({ leftOut: (_, key) => String(key) === 'left out' }).run()
    expect(report).toMatchObject({ compared: 2, leftOut: 1, matching: 1, missingTarget: 1 })
  })

  it('names at most as many differences as were asked for, and counts all', async () => {
    for (let i = 0; i < 20; i++) source.set(record(`k${i}`))
    const report = await verify({ reported: 5 }).run()
    expect([report.differences.length, report.missingTarget]).toEqual([5, 20])
  })

  it('tells of a key that cannot be read, and of the others of its page', async () => {
    both(record('a'), record('b'))
    source.set(record('c'))
    const broken: KeyReader = {
      ...source.reader(),
      read: async (db, keys) => {
        if (keys.some((key) => String(key) === 'a')) throw new Error('it is too large')
        return source.reader().read(db, keys)
      },
      keys: async function* () {
        yield [...source.records.values()].map(({ db, key }) => ({ db, key }))
      },
    }
    const report = await verify({}, broken).run()
    expect(report.differences.map(({ kind, key, detail }) => [kind, key, detail])).toEqual([
      ['unreadable', 'a', 'source: it is too large'],
      ['missing-target', 'c', 'only at the source'],
    ])
  })

  it('ends with what went wrong when names cannot be read', async () => {
    both(record('a'), record('b'))
    const broken: KeyReader = {
      ...source.reader(),
      keys: async function* () {
        yield [{ db: 0, key: bytes('a') }]
        throw new Error('the source is gone')
      },
    }
    await expect(verify({}, broken).run()).rejects.toThrow('the source is gone')
  })

  it('tells how far it is, in parts of what there is', async () => {
    both(...Array.from({ length: 3 }, (_, i) => record(`k${i}`)))
    const told: [string, number, number | null][] = []
    await verify({ onProgress: ({ stage, done, total }) => told.push([stage, done, total]) }).run()
    expect(told.at(-1)).toEqual(['compare', 3, 3])
  })
})

describe('a comparison under other names', () => {
  it('finds what is called otherwise, what is lost and what nobody explains', async () => {
    source.set(record('a'))
    source.set(record('b', 'here'))
    source.set(record('c'))
    target.set(record('new:a'))
    target.set(record('new:b', 'there'))
    target.set(record('new:x'))
    target.set(record('foreign'))
    const report = await verify({ transform: prefixed }).run()
    expect(report.differences.map(({ kind, key }) => [kind, key]).sort()).toEqual([
      ['missing-source', 'new:x'],
      ['missing-target', 'c'],
      ['value', 'b'],
    ])
    expect([report.compared, report.matching]).toEqual([4, 1])
  })

  it('counts what a script leaves out neither as compared nor as equal', async () => {
    const transform = rules({
      script: {
        keys: async (keys) => keys.map(({ key }) => (String(key).startsWith('skip') ? null : key)),
        values: async (records) => records.map(({ key, value }) => (String(key).startsWith('drop') ? null : value)),
      },
    })
    both(record('a'))
    source.set(record('skip:1'))
    source.set(record('drop:1'))
    const report = await verify({ transform }).run()
    expect(report).toMatchObject({ compared: 1, leftOut: 2, matching: 1, equal: true })
  })
})

describe('a comparison of some keys', () => {
  it('looks at these only, both ways', async () => {
    both(record('a'))
    source.set(record('b'))
    target.set(record('c'))
    target.set(record('d'))
    const report = await verify({ filter: new RecordFilter({ exclude: ['e'] }) }).compareKeys(
      ['a', 'b', 'c', 'e'].map((key) => ({ db: 0, key: bytes(key) })),
    )
    expect(report.differences.map(({ kind, key }) => [kind, key])).toEqual([
      ['missing-target', 'b'],
      ['missing-source', 'c'],
    ])
    expect([report.compared, report.matching]).toEqual([3, 1])
  })

  it('of records from elsewhere gives what differs, and what the target has besides', async () => {
    target.set(record('same'))
    target.set(record('value', 'there'))
    target.set(record('besides', 'v', 0, 1))
    const verifier = verify()
    const seen = new FingerprintSet()
    const records = [record('same'), record('value', 'here'), record('lost'), record('besides')]
    const found = await verifier.compareRecords(records, seen)
    expect(found.map(({ kind, key }) => [kind, key])).toEqual([
      ['value', 'value'],
      ['missing-target', 'lost'],
      ['missing-target', 'besides'],
    ])
    expect((await verifier.surplus(seen)).map(({ db, key }) => [db, key])).toEqual([[1, 'besides']])
  })

  it('that were read at one moment judges what was read', async () => {
    const keys = ['a', 'b', 'c'].map((key) => ({ db: 0, key: bytes(key) }))
    const found = await verify().judgeAll(
      keys,
      [record('a'), record('b', 'here'), null],
      [record('a'), record('b', 'there'), record('c')],
    )
    expect(found.map(({ kind, key }) => [kind, key])).toEqual([
      ['value', 'b'],
      ['missing-source', 'c'],
    ])
  })
})

describe('servers of one kind', () => {
  /** A reader that gives values in their raw form; a value of so many bytes comes in slices. */
  function server(store: MemoryStore, asked: string[], form = 'test'): KeyReader {
    const reader = store.reader()
    const sizeOf = (db: number, key: Buffer): number => {
      const value = store.get(db, key)?.value
      return value?.form === 'items' ? value.items.reduce((sum, item) => sum + item.length, 0) : 0
    }
    return {
      ...reader,
      keys: async function* () {
        yield [...store.records.values()].map(({ db, key }) => ({ db, key }))
      },
      read: async (db, keys, whole) => {
        asked.push(`read ${keys.length}`)
        return reader.read(db, keys, whole)
      },
      raw: {
        form,
        shapes: async (db, keys, limit) => Uint8Array.from(keys, (key) => (sizeOf(db, key) > limit ? SLICED_SHAPE : 1)),
        page: async (db, keys): Promise<RawPage> => {
          asked.push(`raw ${keys.length}`)
          const records = await reader.read(db, keys)
          return {
            bytes: Buffer.from(JSON.stringify(records.map((one) => one && [one.value, one.expireAt]))),
            records: () => records,
          }
        },
        sliced: async (db, key): Promise<SnapshotRecord | null> => {
          asked.push('slices')
          const one = store.get(db, key)
          if (one === null || one.value.form !== 'items' || one.value.type !== 'list') return one
          const { items } = one.value
          return {
            ...one,
            value: {
              form: 'sliced',
              type: 'list',
              slices: (async function* () {
                for (let from = 0; from < items.length; from += 2) yield { items: items.slice(from, from + 2) }
              })(),
            },
          }
        },
      },
    }
  }
  const large = (key: string, last: string): SnapshotRecord => list(key, 'x'.repeat(3 << 20), 'y'.repeat(2 << 20), last)
  const big = (key: string, last: string): SnapshotRecord => list(key, 'x'.repeat(200_000), last)

  it('are compared by the bytes that they send: pages that are the same are not taken apart', async () => {
    both(...Array.from({ length: 1200 }, (_, i) => record(`k${i}`)))
    const asked: string[] = []
    const report = await verify({}, server(source, asked), server(target, asked)).run()
    expect([report.compared, report.equal, asked.sort()]).toEqual([
      1200,
      true,
      ['raw 200', 'raw 200', 'raw 500', 'raw 500', 'raw 500', 'raw 500'],
    ])
  })

  it('differ where values do, be they small, big or in slices', async () => {
    both(record('small'), big('big', 'a'), large('large', 'a'))
    source.set(record('small 2', 'here'))
    target.set(record('small 2', 'there'))
    source.set(big('big 2', 'here'))
    target.set(big('big 2', 'there'))
    source.set(large('large 2', 'here'))
    target.set(large('large 2', 'there'))
    source.set(large('large 3', 'here'))
    const asked: string[] = []
    const report = await verify({}, server(source, asked), server(target, asked)).run()
    expect(report.differences.map(({ kind, key }) => [kind, key]).sort()).toEqual([
      ['missing-target', 'large 3'],
      ['value', 'big 2'],
      ['value', 'large 2'],
      ['value', 'small 2'],
    ])
    expect([report.compared, asked.filter((one) => one.startsWith('read'))]).toEqual([7, []])
    expect(asked).toContain('slices')
  })

  it('are read plainly where one does not understand the raw form of the other', async () => {
    both(record('a'))
    const asked: string[] = []
    const report = await verify({}, server(source, asked, 'one'), server(target, asked, 'another')).run()
    expect([report.equal, asked]).toEqual([true, ['read 1', 'read 1']])
  })

  it('are read plainly where a rule or a filter looks at values', async () => {
    both(record('a'))
    const asked: string[] = []
    await verify(
      { filter: new RecordFilter({ types: ['string'] }) },
      server(source, asked),
      server(target, asked),
    ).run()
    expect(asked).toEqual(['read 1', 'read 1'])
  })
})
