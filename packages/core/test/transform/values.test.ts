import {
  type DecodedValue,
  type ItemsValue,
  MigrateError,
  PackedRecord,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { RecordTransform } from '../../dist/index.js'
import type { TransformFault } from '../../dist/transform/record-transform.js'
import { type ItemFunction, ValueRule } from '../../dist/transform/value-rule.js'
import { bytes, names, record } from '../doubles.js'

type Options = ConstructorParameters<typeof RecordTransform>[0]
type Spec = ConstructorParameters<typeof ValueRule>[0]

function transform(given: Partial<Options>): RecordTransform {
  return new RecordTransform({
    ...{ keyRules: [], valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
    ...given,
  })
}
const upper: ItemFunction = async (items) =>
  items.map((item) => (String(item) === 'bad' ? new Error('it is bad') : bytes(String(item).toUpperCase())))
const rule = (limits: Partial<Pick<Spec, 'match' | 'types' | 'db' | 'path'>> = {}, apply = upper): ValueRule =>
  new ValueRule({ type: 'convert', from: 'raw', to: 'raw', ...limits }, apply)
const items = (key: string, type: ItemsValue['type'], ...list: string[]): SnapshotRecord => ({
  ...record(key),
  value: { form: 'items', type, items: list.map(bytes) },
})
const texts = (one: SnapshotRecord | null): string[] | null =>
  one === null ? null : one.value.form === 'items' ? one.value.items.map(String) : [one.value.form]

describe('rules for values', () => {
  it('ask for all strings of a batch at once, and change what they are for', async () => {
    const asked: string[][] = []
    const one = transform({
      valueRules: [
        rule({}, async (strings) => {
          asked.push(strings.map(String))
          return upper(strings)
        }),
      ],
    })
    const records = [record('a', 'x'), null, items('h', 'hash', 'f', 'v', 'g', 'w'), items('l', 'list', 'p', 'q')]
    const out = await one.values([...records, items('s', 'set', 'm')])
    expect(out.map(texts)).toEqual([['X'], null, ['f', 'V', 'g', 'W'], ['P', 'Q'], ['m']])
    expect(asked).toEqual([['x', 'v', 'w', 'p', 'q']])
    // Those that came are not touched.
    expect(texts(records[0])).toEqual(['x'])
  })

  it.each<[Parameters<typeof rule>[0], SnapshotRecord, string[]]>([
    [{ path: 'f*' }, items('h', 'hash', 'f1', 'a', 'g', 'b'), ['f1', 'A', 'g', 'b']],
    [{ path: '-1', types: ['list'] }, items('l', 'list', 'a', 'b'), ['a', 'B']],
    [{ path: '5', types: ['list'] }, items('l', 'list', 'a', 'b'), ['a', 'b']],
    [{ types: ['set'] }, items('s', 'set', 'a', 'b'), ['A', 'B']],
    [{ types: ['zset'] }, items('z', 'zset', 'a', '1', 'b', '2'), ['A', '1', 'B', '2']],
    [{ match: 'x*' }, record('a', 'x'), ['x']],
    [{ db: 1 }, record('a', 'x'), ['x']],
    [{ db: 1 }, record('a', 'x', 0, 1), ['X']],
  ])('under %j change %j', async (limits, given, then) => {
    expect((await transform({ valueRules: [rule(limits)] }).values([given])).map(texts)).toEqual([then])
  })

  it('work one upon the other', async () => {
    const twice: ItemFunction = async (strings) => strings.map((one) => Buffer.concat([one, one]))
    const [one] = await transform({ valueRules: [rule(), rule({}, twice)] }).values([record('a', 'x')])
    expect(texts(one)).toEqual(['XX'])
  })

  it('change fields of streams', async () => {
    const value: DecodedValue = {
      ...{ form: 'stream', type: 'stream', lastId: '1-0', firstId: '1-0', maxDeletedId: '0-0', entriesAdded: '1' },
      ...{ groups: [], entries: [{ id: '1-0', fields: [bytes('f'), bytes('v')] }] },
    }
    const [one] = await transform({ valueRules: [rule({ types: ['stream'] })] }).values([{ ...record('s'), value }])
    expect(one?.value).toEqual({ ...value, entries: [{ id: '1-0', fields: [bytes('f'), bytes('V')] }] })
  })

  it('give the same record where nothing changes, packed as it came', async () => {
    const data = bytes('k\x01X')
    const packed = new PackedRecord(0, 0, data, 0, 1, 1, 3, 0, 11)
    const [one] = await transform({ valueRules: [rule()] }).values([packed])
    expect(one).toBe(packed)
  })

  it('hold a value in slices whole where they are for it, and leave others unread', async () => {
    const sliced = (key: string): SnapshotRecord => ({
      ...record(key),
      value: {
        form: 'sliced',
        type: 'list',
        slices: (async function* () {
          yield { items: [bytes('a')] }
          yield { items: [bytes('b')] }
        })(),
      },
    })
    const out = await transform({ valueRules: [rule({ match: 'x*' })] }).values([sliced('x'), sliced('y')])
    expect(out.map(texts)).toEqual([['A', 'B'], ['sliced']])
  })
})

describe('a value that cannot be transformed', () => {
  const records = [record('a', 'x'), record('b', 'bad'), items('c', 'list', 'y', 'bad')]

  it('ends the run', async () => {
    await expect(transform({ valueRules: [rule()] }).values(records)).rejects.toMatchObject({
      ...{ code: 'FM_TRANSFORM_VALUE', message: 'the value of b cannot be transformed: it is bad' },
    })
  })

  it('is left out or carried as it is, and told of', async () => {
    const faults: TransformFault[] = []
    const onFault = (fault: TransformFault): void => void faults.push(fault)
    const valueRules = [rule(), rule({}, async (strings) => strings.map((one) => bytes(`${one}!`)))]
    const skipping = await transform({ valueRules, onError: 'skip', onFault }).values(records)
    expect(skipping.map(texts)).toEqual([['X!'], null, null])
    expect([names(faults), faults[0].reason]).toEqual([['b', 'c'], 'it is bad'])
    const passing = transform({ valueRules, onError: 'pass', onFault })
    expect((await passing.values(records)).map(texts)).toEqual([['X!'], ['bad'], ['y', 'bad']])
    await passing.quiet().values(records)
    expect(faults).toHaveLength(4)
  })

  it('may be one that cannot be read, or whose members become one', async () => {
    const broken: SnapshotRecord = { ...record('k'), value: { form: 'rdb', type: 0, rdbVersion: 11, body: bytes('') } }
    const same: ItemFunction = async (strings) => strings.map(() => bytes('same'))
    const one = transform({ valueRules: [rule({ types: ['string', 'set'] }, same)], onError: 'skip' })
    expect(await one.values([broken, items('s', 'set', 'a', 'b'), items('t', 'set', 'a')])).toMatchObject([
      null,
      null,
      { key: bytes('t') },
    ])
  })

  it('is not what a machine that broke says', async () => {
    const broken = new MigrateError('FM_TRANSFORM_FAILED', 'the sandbox is gone', 'Look.')
    const one = transform({ valueRules: [rule({}, async (strings) => strings.map(() => broken))], onError: 'skip' })
    await expect(one.values([record('a')])).rejects.toBe(broken)
  })
})

describe('a script', () => {
  it('is asked after the rules, for everything but modules', async () => {
    const asked: string[] = []
    const script: Options['script'] = {
      values: async (questions) =>
        questions.map(({ key, value }) => {
          asked.push(`${key} ${value.form === 'items' ? value.items : ''}`)
          if (String(key) === 'drop') return null
          if (String(key) === 'fail') return new Error('no')
          return String(key) === 'keep' ? value : { form: 'items', type: 'string', items: [bytes('new')] }
        }),
    }
    const module: SnapshotRecord = { ...record('m'), value: { form: 'rdb', type: 7, rdbVersion: 11, body: bytes('x') } }
    const keep = record('keep', 'X')
    const records = [record('a', 'x'), record('drop'), record('fail', 'z'), keep, module, null]
    const out = await transform({ valueRules: [rule()], script, onError: 'pass' }).values(records)
    expect(out.map(texts)).toEqual([['new'], null, ['z'], ['X'], ['rdb'], null])
    expect(asked).toEqual(['a X', 'drop V', 'fail Z', 'keep X'])
    expect(out[3]).toBe(keep)
  })
})

describe('ends', () => {
  it('are changed with the values, and a packed record stays packed', async () => {
    const one = transform({ end: (at) => (at === 0 ? 0 : at + 5) })
    const packed = new PackedRecord(1, 10, bytes('k\x01X'), 0, 1, 1, 3, 0, 11)
    const given = [record('a', 'v', 10), record('b'), packed, null]
    const out = await one.values(given)
    expect(out.map((each) => each?.expireAt)).toEqual([15, 0, 15, undefined])
    expect([out[1] === given[1], out[2] instanceof PackedRecord, out[2]?.db]).toEqual([true, true, 1])
  })
})
