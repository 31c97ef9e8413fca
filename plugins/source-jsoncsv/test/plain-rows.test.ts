import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvPages } from '../dist/csv-reader.js'
import { PlainRows } from '../dist/plain-rows.js'
import { TextFeed } from '../dist/text-feed.js'

interface Read {
  readonly rows: readonly (readonly [number, string])[]
  readonly faults: readonly (readonly [number, string, string])[]
  readonly error: string | null
}

/** @param plain false = by the parser alone */
async function read(text: string, cuts: readonly number[], plain: boolean, skips: boolean): Promise<Read> {
  const bytes = Buffer.from(text)
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  const pieces = [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
  const left = pieces.filter(({ length }) => length > 0)
  const feed = new TextFeed({ next: async () => left.shift() ?? null }, 'utf-8')
  const rows: [number, string][] = []
  const faults: [number, string, string][] = []
  const quote = plain ? undefined : '"'
  let error: string | null = null
  try {
    for await (const page of csvPages(feed, {
      ...{ delimiter: ',', header: 'no', columns: null, skips, quote, escape: quote },
    })) {
      for (const row of page.rows) rows.push([row.line, row.json()])
      for (const fault of page.faults) faults.push([fault.line, fault.message, fault.row])
    }
  } catch (cause) {
    error = (cause as Error).message
  }
  // Those of the parser are told with the piece that they came in.
  return { rows, faults: faults.sort(([a], [b]) => a - b), error }
}

const cell = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'é',
    ' b ',
    '7',
    '"c"',
    '"d,e"',
    '"f""g"',
    '""',
    '"h\ni"',
    '"😀"',
    '"j\r\nk"',
    'l"m',
    '"n"o',
    '"p',
  ),
  fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'ü'), maxLength: 6 }),
)
const line = fc.array(cell, { minLength: 1, maxLength: 4 }).map((cells) => cells.join(','))
const end = fc.oneof(
  { weight: 5, arbitrary: fc.constant('\n') },
  { weight: 1, arbitrary: fc.constantFrom('\r\n', '\r', '\n\n') },
)
const same = fc
  .constantFrom('\n', '\r\n')
  .chain((one) => fc.array(line, { maxLength: 6 }).map((lines) => lines.join(one)))
const mixed = fc.array(fc.tuple(line, end), { maxLength: 6 }).map((lines) => lines.flat().join(''))

describe('plain rows', () => {
  it('are those that the parser reads, on the same lines, with the same faults, however they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(same, mixed),
        fc.array(fc.nat({ max: 60 }), { maxLength: 4 }),
        fc.boolean(),
        async (text, cuts, skips) => {
          const ours = await read(text, cuts, true, skips)
          const parsed = await read(text, cuts, false, skips)
          expect([ours.error, ours.faults]).toEqual([parsed.error, parsed.faults])
          // How many rows are given before a file ends with an error depends on how it comes.
          const count =
            ours.error === null
              ? Math.max(ours.rows.length, parsed.rows.length)
              : Math.min(ours.rows.length, parsed.rows.length)
          expect(ours.rows.slice(0, count)).toEqual(parsed.rows.slice(0, count))
        },
      ),
      { seed: 24, numRuns: 5000 },
    )
  })

  it('are read as far as nothing else can be meant', () => {
    const rows = new PlainRows(',', 100)
    const taken = rows.take('a,b\n"c\nd","e""f"\n\ng,h"i\nj,k\n', true)
    expect(taken).toEqual({
      records: [
        ['a', 'b'],
        ['c\nd', 'e"f'],
      ],
      lines: [1, 3],
    })
    expect([rows.strange, rows.line, rows.lineEnd]).toEqual(['g,h"i\nj,k\n', 5, '\n'])
  })

  it('are given to the parser where one is too long to begin anew with each piece', () => {
    const rows = new PlainRows(',', 10)
    expect(rows.take('a\n"0123456', false).records).toEqual([['a']])
    expect(rows.strange).toBe(null)
    rows.take('789', false)
    expect(rows.strange).toBe('"0123456789')
  })
})
