import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { parseYaml, readText } from '../../dist/config/yaml-file.js'

const KIND = { noun: 'file', code: 'FM_CONFIG_INVALID', hint: 'Look.', lenient: 'told' } as const
const schema = v.strictObject({
  name: v.optional(v.string()),
  count: v.optional(v.number()),
  on: v.optional(v.boolean()),
  list: v.optional(v.array(v.strictObject({ key: v.string() }))),
  told: v.optional(v.record(v.string(), v.string())),
})
const parse = (text: string, environment: NodeJS.ProcessEnv | null = {}) =>
  parseYaml(text, 'x.yaml', schema, KIND, environment)

describe('a YAML file', () => {
  it('takes numbers and booleans from the environment where a value is plain', () => {
    const environment = { COUNT: '12', ON: 'true', NAME: '5' }
    expect(parse('count: ${COUNT}\non: ${ON}\nname: "${NAME}"\n', environment).value).toEqual({
      ...{ count: 12, on: true, name: '5' },
    })
    expect(parse('name: a ${NAME} ${NONE:-b} ${EMPTY:-c}\n', { ...environment, EMPTY: '' }).value.name).toBe('a 5 b c')
  })

  it('leaves its text alone where no environment is given', () => {
    expect(parse('name: ${NAME}\n', null).value).toEqual({ name: '${NAME}' })
  })

  it('tells which variables are not set where that is allowed', () => {
    const { value, unset } = parse('told:\n  slack: ${SLACK}\n  other: x\n')
    expect([value.told, unset]).toEqual([{ slack: '', other: 'x' }, [{ path: ['slack'], name: 'SLACK' }]])
  })

  it('names every place that is wrong, in the order of the text', () => {
    expect(() => parse('list:\n  - key: a\n  - kye: b\ncount: many\n')).toThrow(
      expect.objectContaining({
        message: [
          'x.yaml, line 3, column 5: list.1.key: is missing',
          'x.yaml, line 3, column 5: list.1.kye: there is no such field',
          'x.yaml, line 4, column 1: count: must be number, not text',
        ].join('\n'),
      }),
    )
  })

  it('has an error for a place that only its user can judge', () => {
    const file = parse('name: x\nlist:\n  - key: a\n  - key: b\n')
    expect(file.fail(['list', 1, 'key'], 'twice').message).toBe('x.yaml, line 4, column 5: list.1.key: twice')
    expect(file.fail(['none'], 'missing').message).toBe('x.yaml, line 1, column 1: none: missing')
  })

  it.each([
    [`${'['.repeat(20_000)}`, /nested too deep|x\.yaml, line/],
    [
      `a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n`,
      /cannot be read/,
    ],
    ['x'.repeat((4 << 20) + 1), /more than 4194304 characters/],
  ])('that would take all memory is refused', (text, message) => {
    expect(() => parse(text)).toThrow(message)
  })

  it('means by an alias the last anchor before it', () => {
    const text = 'told:\n  a: &x one\n  b: *x\n  c: &x two\n  d: *x\n'
    expect(parse(text).value.told).toEqual({ a: 'one', b: 'one', c: 'two', d: 'two' })
    expect(() => parse('told: &x\n  a: *x\n')).toThrow(/stands in what it names/)
    expect(() => parse('name: *none\n')).toThrow(/none/)
  })

  it('that is not there is named', () => {
    expect(() => readText('/nowhere/x.yaml', 'configuration')).toThrow(
      expect.objectContaining({
        code: 'FM_FILE_UNREADABLE',
        message: 'the configuration /nowhere/x.yaml cannot be read (ENOENT)',
      }),
    )
  })
})
