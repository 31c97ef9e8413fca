import { changeOf, type SourceEvent, stringRecord } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { EventCheck } from '../../../dist/engine/events/event-check.js'
import { bytes, record } from '../../doubles.js'

const change = changeOf(0, ['SET', 'a', 'b'], 1)
const sound: readonly SourceEvent[] = [
  { kind: 'sync', mode: 'full' },
  { kind: 'snapshot', records: [record('a'), stringRecord('b', 'c')], byteLength: 10 },
  { kind: 'snapshot-end', position: '1' },
  { kind: 'changes', records: [change], byteLength: 10, position: '2' },
  { kind: 'changes', records: [change, change], transactions: [[0, 2]], byteLength: 20, position: '3' },
  { kind: 'dirty', keys: [{ db: 0, key: bytes('a') }] },
  { kind: 'left-out', what: 'x', count: 1, examples: [] },
  { kind: 'aside', what: 'function', payload: bytes('x') },
]

/** An event as plain JavaScript may give it. */
function looked(event: unknown, check = begun()): void {
  check.look(event as SourceEvent)
}

function begun(): EventCheck {
  const check = new EventCheck('a-plugin')
  check.begin()
  check.look(sound[0])
  return check
}

const refusal = (message: RegExp) =>
  expect.objectContaining({ code: 'FM_PLUGIN_EVENT', message: expect.stringMatching(message) })

describe('the events of a plugin', () => {
  it('that are sound pass', () => {
    const check = begun()
    for (const event of sound) check.look(event)
  })

  it('begin with sync, each time it is read', () => {
    const check = new EventCheck('a-plugin')
    expect(() => check.look(sound[1])).toThrow(refusal(/a-plugin gave "snapshot" as its first event; expected: sync/))
    for (const event of sound) check.look(event)
    check.begin()
    expect(() => check.look(sound[3])).toThrow(refusal(/first event/))
  })

  const changes = { kind: 'changes', records: [change], byteLength: 1, position: '2' }
  const snapshot = { kind: 'snapshot', records: [record('a')], byteLength: 1 }
  it.each<[string, unknown, RegExp]>([
    ['no object', undefined, /kind undefined/],
    ['another kind', { kind: 'snapshots' }, /kind "snapshots"/],
    ['a kind that a terminal would obey', { kind: '\u001b[2J' }, /"\\x1b\[2J"/],
    ['another mode', { kind: 'sync', mode: 'half' }, /mode "half"/],
    ['changes without a position', { ...changes, position: undefined }, /position undefined/],
    ['an empty position', { ...changes, position: '' }, /position ""/],
    ['a position that is a number', { ...changes, position: 7 }, /position 7/],
    ['a lower-case name', { ...changes, records: [{ ...change, name: 'set' }] }, /named "set"/],
    ['a wrong header', { ...changes, records: [{ ...change, resp: bytes('*2\r\n') }] }, /resp/],
    ['texts for bytes', { ...changes, records: [{ ...change, argv: ['SET', 'a', 'b'] }] }, /without argv/],
    ['no arguments', { ...changes, records: [{ ...change, argv: [] }] }, /without argv/],
    ['no database', { ...changes, records: [{ ...change, db: undefined }] }, /database undefined/],
    ['no time', { ...changes, records: [{ ...change, receivedAt: Number.NaN }] }, /receivedAt NaN/],
    ['no records', { ...changes, records: undefined }, /without records/],
    ['a hole in the records', { ...changes, records: [null] }, /null in place of a change/],
    [
      'a transaction beyond its records',
      { ...changes, transactions: [[0, 2]] },
      /transaction of 2 records from 0 on, of 1/,
    ],
    [
      'transactions out of order',
      {
        ...changes,
        records: [change, change],
        transactions: [
          [1, 1],
          [0, 1],
        ],
      },
      /from 0/,
    ],
    ['a name as text', { ...snapshot, records: [{ ...record('a'), key: 'a' }] }, /no Buffer \("a"\)/],
    ['a value as text', { ...snapshot, records: [{ ...record('a'), value: 'v' }] }, /no known form/],
    ['an unknown form', { ...snapshot, records: [{ ...record('a'), value: { form: 'json' } }] }, /no known form/],
    ['no end', { ...snapshot, records: [{ ...record('a'), expireAt: undefined }] }, /expireAt undefined/],
    ['a negative database', { ...snapshot, records: [{ ...record('a'), db: -1 }] }, /database -1/],
    ['no size', { ...snapshot, byteLength: undefined }, /byteLength undefined/],
    ['a wrong place in the snapshot', { ...snapshot, position: {} }, /position an object/],
    ['a wrong place of its end', { kind: 'snapshot-end', position: 5 }, /position 5/],
    ['keys as text', { kind: 'dirty', keys: ['a'] }, /"a" in place of a dirty key/],
    ['an incomplete left-out', { kind: 'left-out', what: 'x' }, /left-out/],
    ['an unknown aside', { kind: 'aside', what: 'x', payload: bytes('') }, /aside event of "x"/],
  ])('are refused with %s', (_, event, message) => {
    expect(() => looked(event)).toThrow(refusal(message))
  })

  it('are looked at whole in the beginning, and later where it costs nothing', () => {
    const check = begun()
    for (let i = 0; i < 100; i++) check.look(sound[3])
    looked({ ...changes, records: [{ ...change, name: 'set' }] }, check)
    expect(() => looked({ ...changes, position: undefined }, check)).toThrow(refusal(/position undefined/))
    expect(() => looked({ kind: 'x' }, check)).toThrow(refusal(/kind "x"/))
  })
})
