import { stringRecord, type TargetHolds } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'
import { digestOf, SAMPLE_TYPES } from './samples.js'
import { batchOf, endingFields, fieldEnds, type TargetSubject, tells, valueAt } from './target-subject.js'

/** What `holds` says of it; what it does not speak of is held. */
const says = ({ target }: TargetSubject, what: keyof TargetHolds): boolean => target.dialect.holds?.[what] ?? true

const cannot =
  (type: 'hash' | 'string') =>
  ({ types = SAMPLE_TYPES }: TargetSubject): string | null =>
    types.includes(type) ? null : `the target cannot hold a ${type}`

/** An empty one, in its sparse form. */
const HYPER_LOG_LOG = stringRecord('hyperloglog', Buffer.from('HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff', 'latin1'))

/** What a target says that it can hold, against what it does. */
export const targetHoldsRules: readonly Check<TargetSubject>[] = [
  {
    rule: 'T19',
    name: 'holds the ends of hash fields, or says that it cannot',
    skips: cannot('hash'),
    run: async (subject) => {
      const { target } = subject
      const end = Date.now() + 3_600_000
      const record = endingFields('ending fields', end)
      const told = tells(await target.write(batchOf([record])), record.key)
      const ends = fieldEnds(await valueAt(target, record.key))
      if (says(subject, 'fieldExpiry')) {
        ensure(
          !told,
          '`holds` says ends of fields, and the answer to a hash that has them says that they are not carried',
        )
        ensure(Math.abs((ends[0] ?? 0) - end) < 1000, '`holds` says ends of fields, and they are not there')
      } else {
        ensure(told, '`holds` says no ends of fields, and nothing tells of a hash that has them')
        ensure(ends.length === 0, '`holds` says no ends of fields, and they are there')
      }
    },
  },
  {
    rule: 'T19',
    name: 'holds a HyperLogLog as it is, or says that it cannot',
    skips: cannot('string'),
    run: async (subject) => {
      const { target } = subject
      const told = tells(await target.write(batchOf([HYPER_LOG_LOG])), HYPER_LOG_LOG.key)
      if (!says(subject, 'hyperLogLog')) {
        ensure(told, '`holds` says no HyperLogLog, and nothing tells of one')
        return
      }
      ensure(!told, '`holds` says HyperLogLogs, and the answer to one says that it is not carried')
      const got = await valueAt(target, HYPER_LOG_LOG.key)
      ensure(
        got !== null && digestOf(got) === digestOf(HYPER_LOG_LOG),
        '`holds` says HyperLogLogs, and one is not there as it was',
      )
    },
  },
  {
    rule: 'T19',
    name: 'holds several databases, or says that it cannot',
    run: async (subject) => {
      const { target } = subject
      const refusal = (await target.refusesDatabase?.(1)) ?? null
      if (!says(subject, 'databases')) {
        ensure(refusal !== null && refusal !== '', '`holds` says one database, and `refusesDatabase` does not say why')
        return
      }
      ensure(refusal === null, `\`holds\` says several databases, and \`refusesDatabase\`: ${refusal}`)
      const record = stringRecord('in another database', '1', { db: 1 })
      await target.write(batchOf([record]))
      ensure((await valueAt(target, record.key, 1)) !== null, '`holds` says several databases, and 1 is empty')
    },
  },
]
