import {
  BoundedRegExp,
  CollisionGuard,
  convert,
  type KeyRuleSpec,
  keyRule,
  RecordFilter,
  RecordTransform,
} from '@ferrite-migrate/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const bytes = fc.uint8Array({ maxLength: 40 }).map((list) => Buffer.from(list))
/** Names that rules have something to do with. */
const name = fc.oneof(
  bytes,
  fc.constantFrom('a:', 'a:a:', 'legacy:x', 'legacy:', 'old:1', '', 'a').map((text) => Buffer.from(text)),
)

function transform(specs: readonly KeyRuleSpec[], dbs: ReadonlyMap<number, number> = new Map()): RecordTransform {
  return new RecordTransform({
    keyRules: specs.map(keyRule),
    valueRules: [],
    script: null,
    template: null,
    dbs,
    onError: 'fail',
    end: null,
  })
}

describe('names', () => {
  const spec: fc.Arbitrary<KeyRuleSpec> = fc.oneof(
    fc.constantFrom<KeyRuleSpec>(
      { type: 'prefix', value: 'a:' },
      { type: 'strip_prefix', value: 'a:' },
      { type: 'strip_prefix', value: 'legacy:' },
      { type: 'prefix', value: 'legacy:', match: 'a*' },
      { type: 'prefix', value: 'two:', db: [2] },
    ),
  )

  it('lead back to what they were', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(spec, { maxLength: 4 }),
        name,
        fc.integer({ min: 0, max: 3 }),
        async (specs, key, db) => {
          const one = transform(
            specs,
            new Map([
              [0, 1],
              [1, 0],
            ]),
          )
          const [there] = await one.names([{ db, key }])
          const back = one.originals(there!.db, there!.key)!
          expect(back.some((original) => original.db === db && original.key.equals(key))).toBe(true)
          for (const original of back) expect((await one.names([original]))[0]).toEqual(there)
          // Records are named in a block, by the same rules.
          const value = { form: 'items', type: 'string', items: [] } as const
          const [record] = await one.renamed([{ db, key, value, expireAt: 0 }])
          expect([record.db, record.key]).toEqual([there!.db, there!.key])
        },
      ),
      { seed: 7, numRuns: 500 },
    )
  })

  it('meet only where rules can make them', async () => {
    expect(transform([{ type: 'prefix', value: 'x' }]).injective).toBe(true)
    expect(transform([{ type: 'strip_prefix', value: 'x' }]).injective).toBe(false)
    expect(transform([], new Map([[0, 1]])).injective).toBe(false)
    expect(
      transform(
        [],
        new Map([
          [0, 1],
          [1, 0],
        ]),
      ).injective,
    ).toBe(true)
    const one = transform([{ type: 'strip_prefix', value: 'a:' }])
    const met: string[] = []
    const guard = new CollisionGuard({
      transform: one,
      filter: new RecordFilter({}),
      policy: 'last',
      source: () => null,
      onCollision: (text) => void met.push(text),
    })
    const keys = ['a:1', 'b', 'a:1', '1'].map((text) => ({ db: 0, key: Buffer.from(text) }))
    await guard.add(
      keys,
      (await one.names(keys)).map((name) => name!),
    )
    expect(met).toHaveLength(1)
  })
})

describe('a regular expression', () => {
  it('takes linear time or is refused', () => {
    const long = 'a'.repeat(100_000)
    for (const pattern of [
      '^(a+)+$',
      '(a*)*b',
      '(a|aa)+$',
      '(.*)(.*)(.*)(.*)x',
      '^(a?){50}a{50}$',
      '(?:a{1,30}){1,30}c',
    ]) {
      const startedAt = performance.now()
      new BoundedRegExp(pattern).test(`${long}!`)
      expect([pattern, performance.now() - startedAt < 20_000]).toEqual([pattern, true])
    }
    for (const pattern of ['(a)\\1', 'a(?=b)', '(']) expect(() => new BoundedRegExp(pattern)).toThrow(/cannot be used/)
  })
})

describe('a conversion', () => {
  const pairs = [
    ['gzip', 'raw'],
    ['zlib', 'raw'],
    ['base64', 'raw'],
    ['hex', 'raw'],
  ] as const

  it('comes back', () => {
    fc.assert(
      fc.property(bytes, fc.constantFrom(...pairs), (value, [packed, plain]) => {
        expect(convert(convert(value, plain, packed), packed, plain)).toEqual(value)
      }),
      { seed: 8, numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = Buffer.from(JSON.stringify(value))
        expect(JSON.parse(convert(convert(text, 'json', 'msgpack'), 'msgpack', 'json').toString())).toEqual(value)
      }),
      { seed: 9, numRuns: 300 },
    )
  })

  it('keeps every digit, and says what it cannot hold', () => {
    const through = (text: string): string =>
      convert(convert(Buffer.from(text), 'json', 'msgpack'), 'msgpack', 'json').toString()
    for (const text of [
      '18446744073709551615',
      '-9223372036854775808',
      '9007199254740993',
      '{"__proto__":{"x":1}}',
      '[1.5,null,true,""]',
    ])
      expect(through(text)).toBe(text)
    expect(() => through('18446744073709551616')).toThrow(/too large/)
    expect(() => convert(Buffer.from([0x92, 1]), 'msgpack', 'json')).toThrow(/ends too early/)
    expect(() => convert(Buffer.from([0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]), 'msgpack', 'json')).toThrow(
      /JSON has no Infinity/,
    )
    expect(convert(Buffer.from([0xc4, 2, 255, 0]), 'msgpack', 'json').toString()).toBe('"/wA="')
    for (const from of ['gzip', 'zlib', 'base64', 'hex'] as const)
      expect(() => convert(Buffer.from('!?'), from, 'raw')).toThrow(/it is no/)
    expect(convert(Buffer.from([0xe9]), 'latin-1', 'utf-8').toString()).toBe('é')
    expect(convert(Buffer.from('é'), 'utf-8', 'latin-1')).toEqual(Buffer.from([0xe9]))
    expect(() => convert(Buffer.from('Ω'), 'utf-8', 'latin-1')).toThrow(/has no "Ω"/)
    expect(() => convert(Buffer.from([0xff]), 'utf-8', 'raw')).toThrow(/no UTF-8/)
  })
})
