import { type SnapshotRecord, stringRecord, type Target, type WriteResult } from '@ferrite-migrate/contracts'
import { type Check, ensure, skip } from './harness.js'
import { checkReader } from './reader-rules.js'
import { digestOf, nameOf, SAMPLE_TYPES, sampleRecords } from './samples.js'
import { batchOf, endingFields, fieldEnds, listRecord, type TargetSubject, tells, valueAt } from './target-subject.js'

async function holds(target: Target, want: SnapshotRecord, what: string): Promise<void> {
  const got = await valueAt(target, want.key)
  ensure(got !== null, `${what}: ${nameOf(want.key)} is not there`)
  ensure(digestOf(got) === digestOf(want), `${what}: ${nameOf(want.key)} has another value`)
}

function answered({ written, skipped, failed }: WriteResult, records: number): void {
  const sum = written + skipped + failed.length
  ensure(
    sum === records,
    `of ${records} records ${written} were written, ${skipped} skipped and ${failed.length} failed`,
  )
}

/** One rule a type, so that what a target cannot hold is told by its name. */
const typeRules: readonly Check<TargetSubject>[] = SAMPLE_TYPES.map((type) => ({
  rule: 'T2',
  name: `keeps a ${type} as it is`,
  skips: ({ types = SAMPLE_TYPES }) => (types.includes(type) ? null : `the target cannot hold a ${type}`),
  run: async ({ target }) => {
    const records = sampleRecords(Date.now(), [type])
    const result = await target.write(batchOf(records))
    ensure(result.failed.length === 0, `failed: ${result.failed.map(({ reason }) => reason).join('; ')}`)
    ensure(result.notCarried.length === 0, `not carried: ${result.notCarried.map(({ what }) => what).join('; ')}`)
    const reader = target.reader()
    try {
      const read = await reader.read(
        0,
        records.map(({ key }) => key),
        true,
      )
      for (const [i, want] of records.entries()) {
        const got = read[i]
        ensure(got !== null && digestOf(got) === digestOf(want), `${nameOf(want.key)} has another value`)
      }
    } finally {
      await reader.close()
    }
  },
}))

/** What a target keeps, and what it tells of the rest. */
export const targetValueRules: readonly Check<TargetSubject>[] = [
  {
    rule: 'T1',
    name: 'answers for every key of a batch',
    run: async ({ target }) => {
      const ends = Date.now() - 1000
      await target.write(batchOf([stringRecord('there', 'old')]))
      const records = [
        stringRecord('there', 'new'),
        stringRecord('new', '1'),
        stringRecord('past', 'x', { expireAt: ends }),
      ]
      for (const policy of ['skip', 'fail', 'replace'] as const)
        answered(await target.write(batchOf(records, policy)), 3)
      answered(await target.write(batchOf([])), 0)
    },
  },
  {
    rule: 'T2',
    name: 'keeps values byte for byte',
    run: async ({ target, types }) => {
      const records = sampleRecords(Date.now(), types)
      const result = await target.write(batchOf(records))
      ensure(result.failed.length === 0, `failed: ${result.failed.map((one) => one.reason).join('; ')}`)
      ensure(result.written === records.length, `written says ${result.written} of ${records.length}`)
      await checkReader(target.reader(), records)
    },
  },
  ...typeRules,
  {
    rule: 'T3',
    name: 'keeps what it was given when its memory is used again',
    run: async ({ target }) => {
      const value = Buffer.from('what was given')
      const key = Buffer.from('memory')
      await target.write(batchOf([stringRecord(key, value)]))
      key.fill('x')
      value.fill('x')
      await holds(target, stringRecord('memory', 'what was given'), 'after its memory was used again')
    },
  },
  {
    rule: 'T4',
    name: 'keeps expiries',
    run: async ({ target }) => {
      const expireAt = Date.now() + 3_600_000
      await target.write(batchOf([stringRecord('ttl', 'x', { expireAt }), stringRecord('none', 'x')]))
      ensure(Math.abs(((await valueAt(target, 'ttl'))?.expireAt ?? 0) - expireAt) < 1000, 'the expiry is another')
      ensure((await valueAt(target, 'none'))?.expireAt === 0, 'a key without expiry got one')
      await target.write(batchOf([stringRecord('ttl', 'y')]))
      ensure((await valueAt(target, 'ttl'))?.expireAt === 0, 'a key that was replaced kept the expiry of the former')
    },
  },
  {
    rule: 'T5',
    name: 'drops what has expired',
    run: async ({ target }) => {
      const expireAt = Date.now() - 1000
      await target.write(batchOf([stringRecord('gone', 'old')]))
      const result = await target.write(
        batchOf([stringRecord('gone', 'x', { expireAt }), stringRecord('never', 'x', { expireAt })]),
      )
      ensure(result.written === 0 && (await valueAt(target, 'gone')) === null, 'an expired key was written or left')
      ensure((await valueAt(target, 'never')) === null, 'an expired key was written')
    },
  },
  {
    rule: 'T6',
    name: 'replaces, skips or refuses keys that are there',
    run: async ({ target }) => {
      const [old, fresh] = [stringRecord('k', 'old'), stringRecord('k', 'new')]
      await target.write(batchOf([old]))
      const skipped = await target.write(batchOf([fresh], 'skip'))
      ensure(skipped.skipped === 1, `skip says that it skipped ${skipped.skipped}`)
      await holds(target, old, 'skip')
      const failed = await target.write(batchOf([fresh], 'fail'))
      ensure(failed.failed[0]?.code === 'conflict', 'fail does not tell of a conflict')
      await holds(target, old, 'fail')
      await target.write(batchOf([fresh]))
      await holds(target, fresh, 'replace')
    },
  },
  {
    rule: 'T6',
    name: 'changes nothing that is there for a record that has expired, where it shall skip or fail',
    run: async ({ target }) => {
      const old = stringRecord('k', 'old')
      await target.write(batchOf([old]))
      for (const policy of ['skip', 'fail'] as const) {
        await target.write(batchOf([stringRecord('k', 'x', { expireAt: Date.now() - 1000 })], policy))
        await holds(target, old, policy)
      }
    },
  },
  {
    rule: 'T7',
    name: 'replaces a value of another type whole',
    skips: ({ types = SAMPLE_TYPES }) => (types.includes('list') ? null : 'the target cannot hold a list'),
    run: async ({ target }) => {
      await target.write(batchOf([stringRecord('t', 'string')]))
      await target.write(batchOf([listRecord('t', 'a', 'b')]))
      await target.write(batchOf([listRecord('t', 'c')]))
      await holds(target, listRecord('t', 'c'), 'something of the former value is left')
    },
  },
  {
    rule: 'T8',
    name: 'deletes, before it writes',
    run: async ({ target }) => {
      const key = (name: string) => ({ db: 0, key: Buffer.from(name) })
      await target.write(batchOf([stringRecord('d', '1'), stringRecord('e', '1'), stringRecord('f', '1')]))
      await target.write({ ...batchOf([stringRecord('f', '2')]), deletes: [key('d'), key('f')] })
      ensure((await valueAt(target, 'd')) === null && (await valueAt(target, 'e')) !== null, 'the wrong keys are gone')
      await holds(target, stringRecord('f', '2'), 'deleted and written in one batch')
    },
  },
  {
    rule: 'T9',
    name: 'applies the batches of a lane in order',
    run: async ({ target }) => {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) => target.write(batchOf([stringRecord('order', String(i))], 'replace', 1))),
      )
      await holds(target, stringRecord('order', '49'), 'the last batch is not what is there')
    },
  },
  {
    rule: 'T12',
    name: 'tells of what it cannot hold',
    skips: ({ types = SAMPLE_TYPES }) =>
      SAMPLE_TYPES.every((type) => types.includes(type)) ? 'the target holds all types' : null,
    run: async ({ target, types = SAMPLE_TYPES }) => {
      const others = sampleRecords(
        Date.now(),
        SAMPLE_TYPES.filter((type) => !types.includes(type)),
      )
      const result = await target.write(batchOf(others))
      for (const { key } of others)
        ensure(
          tells(result, key),
          `${nameOf(key)} cannot be held, and stands neither in \`failed\` nor in \`notCarried\``,
        )
    },
  },
  {
    rule: 'T12',
    name: 'keeps the ends of hash fields, or tells that it does not',
    skips: ({ types = SAMPLE_TYPES }) => (types.includes('hash') ? null : 'the target cannot hold a hash'),
    run: async ({ target }) => {
      const end = Date.now() + 3_600_000
      const record = endingFields('fields', end)
      const result = await target.write(batchOf([record]))
      if (tells(result, record.key)) return
      const got = await valueAt(target, 'fields')
      ensure(got !== null, 'a hash with ends of fields is not there, and nothing tells')
      ensure(
        fieldEnds(got).some((one) => Math.abs(one - end) < 1000),
        'the ends of hash fields are gone, and `notCarried` does not tell',
      )
    },
  },
  {
    rule: 'T16',
    name: 'keeps databases apart',
    run: async ({ target }) => {
      const refusal = (await target.refusesDatabase?.(1)) ?? null
      if (refusal !== null) skip(`the target has no database 1: ${refusal}`)
      await target.write(batchOf([stringRecord('same', 'zero'), stringRecord('same', 'one', { db: 1 })]))
      await holds(target, stringRecord('same', 'zero'), 'database 0')
      const other = await valueAt(target, 'same', 1)
      ensure(
        other !== null && digestOf(other) === digestOf(stringRecord('same', 'one')),
        'database 1 has another value',
      )
      await target.write({ ...batchOf([]), deletes: [{ db: 1, key: Buffer.from('same') }] })
      await holds(target, stringRecord('same', 'zero'), 'after a deletion in database 1')
    },
  },
  {
    rule: 'T17',
    name: 'plants a key that is there until it is removed',
    run: async ({ target }) => {
      const planted = await target.plant?.()
      if (planted === undefined) skip('the target has no `plant`')
      const reader = target.reader()
      try {
        ensure((await reader.exist(planted.db, [planted.key]))[0], 'a planted key is not there')
        await planted.remove()
        ensure(!(await reader.exist(planted.db, [planted.key]))[0], 'a planted key is still there')
      } finally {
        await reader.close()
      }
    },
  },
]
