import type { Transform } from '@ferrite-migrate/contracts'
import { createTransform } from '@ferrite-migrate/transform-jq'
import { describe, expect, it } from 'vitest'

async function jq(
  filter: string,
  values: readonly (string | Buffer)[],
  options: { memory?: number; timeout?: number } = {},
): Promise<string[]> {
  const transform: Transform = await createTransform({
    url: '',
    options: { filter, memory: options.memory ?? 256 << 20, timeout: options.timeout ?? 10_000, workers: 1 },
    logger: { log: () => undefined, enabled: () => false },
    signal: new AbortController().signal,
    tempDir: '',
  })
  try {
    const answers = await transform.items!(values.map((value) => Buffer.from(value as string)))
    return answers.map((answer) => (answer instanceof Error ? `ERROR ${answer.message}` : answer.toString('utf8')))
  } finally {
    await transform[Symbol.asyncDispose]?.()
  }
}

describe('a jq filter', () => {
  it('answers once for each value, digits and order kept', async () => {
    expect(
      await jq('.a = 1', ['{"z":1,"big":12345678901234567890,"f":1.10}', '{\n "x": "ü\\u0000" }', '{"a":[]}']),
    ).toEqual(['{"z":1,"big":12345678901234567890,"f":1.10,"a":1}', '{"x":"ü\\u0000","a":1}', '{"a":1}'])
  })

  it('tells of each value what is wrong with it, and transforms the others', async () => {
    const answers = await jq('if . == 0 then empty elif . == 1 then (1, 2) else .a end', [
      '{"a":5}',
      'no json',
      '0',
      '1',
      '"text"',
      '1 2',
      Buffer.from([0xff]),
      '',
      '{"a":"\\n"}',
    ])
    expect(answers[0]).toBe('5')
    expect(answers.slice(1, 4)).toEqual([
      'ERROR it is no JSON',
      'ERROR jq: the filter gives no result, and one is wanted',
      'ERROR jq: the filter gives 2 results, and one is wanted',
    ])
    expect(answers[4]).toMatch(/ERROR jq: Cannot index string/)
    expect(answers.slice(5, 8)).toEqual(Array(3).fill('ERROR it is no JSON'))
    expect(answers[8]).toBe('"\\n"')
  })

  it('that takes its neighbours or ends the program harms nobody', async () => {
    for (const filter of [
      'if . == "bad" then [., input] else . end',
      'if . == "bad" then halt else . end',
      'if . == "bad" then halt_error else . end',
      'if . == "bad" then ("out" | stderr | error) else . end',
      'if . == "bad" then error(null) else . end',
      'if . == "bad" then error({"a": [1]}) else . end',
      'if . == "bad" then (label $x | break $x) else . end',
    ]) {
      const answers = await jq(filter, ['"one"', '"bad"', '"two"'])
      expect([filter, answers[0], answers[2]]).toEqual([filter, '"one"', '"two"'])
      expect(answers[1]).toMatch(/^ERROR/)
    }
  })

  it('cannot reach the machine', async () => {
    const [environment] = await jq('[env, $ENV, input_filename]', ['1'])
    expect(environment).not.toContain(process.env.PATH ?? '-')
    expect(environment).not.toContain(process.cwd())
    for (const filter of ['import "a" as a; .', 'include "/etc/passwd"; .', '.a[', 'undefined_function', ')] | ([.'])
      await expect(jq(filter, ['1'])).rejects.toMatchObject({ code: 'FM_TRANSFORM_INVALID' })
  })

  it('cannot loop for ever, and cannot take all memory', async () => {
    for (const [filter, options] of [
      ['if . == "bad" then last(range(infinite)) else . end', { timeout: 1500 }],
      ['if . == "bad" then [limit(1e12; repeat("xxxxxxxxxxxxxxxx"))] else . end', { memory: 64 << 20, timeout: 5000 }],
      ['if . == "bad" then (def f: f + f; "x" | until(false; . + .)) else . end', { memory: 64 << 20, timeout: 5000 }],
      ['if . == "bad" then [range(1e9)] | tojson else . end', { memory: 64 << 20, timeout: 5000 }],
    ] as const) {
      const answers = await jq(filter, ['"one"', '"bad"', '"two"'], options)
      expect([answers[0], answers[2]]).toEqual(['"one"', '"two"'])
      expect(answers[1]).toMatch(/^ERROR/)
    }
  })
})
