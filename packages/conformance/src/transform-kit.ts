import {
  type DecodedRecord,
  type DecodedValue,
  type DirtyKey,
  MigrateError,
  type Transform,
} from '@ferrite-migrate/contracts'
import { digestValue } from '@ferrite-migrate/protocol'
import { type Check, ensure, skip } from './harness.js'
import { decodedOf, type SampleType, sampleRecords } from './samples.js'
import { within } from './within.js'

/** What the kit needs to try a transform. */
export interface TransformSubject {
  readonly transform: Transform
  /** The types of values that it is asked for; default all. */
  readonly types?: readonly SampleType[]
  /** Strings for `items` that it has answers for; default those of the samples. */
  readonly items?: readonly Buffer[]
  /** A string that it has no answer for, where there is one. */
  readonly refused?: Buffer
  /** The same transform once more, as another process makes it. */
  again?(): Promise<Transform>
}

const CLOSE_MS = 10_000

/** An answer in a form that can be compared. */
type Answer = string

const comparable = (answer: Buffer | DecodedValue | Error | null): Answer => {
  if (answer === null) return 'left out'
  if (answer instanceof Error) return `error ${answer.message}`
  if (Buffer.isBuffer(answer)) return `bytes ${answer.toString('hex')}`
  return `${answer.type} ${digestValue(answer).toString('hex')}`
}

/** One of the functions, with questions for it. */
interface Asking {
  readonly name: 'keys' | 'values' | 'items'
  readonly count: number
  /** The answers to these of the questions; null = the transform lacks the function. */
  ask(
    transform: Transform,
    places: readonly number[],
  ): Promise<readonly (Buffer | DecodedValue | Error | null)[] | null>
}

const records = ({ types }: TransformSubject): DecodedRecord[] =>
  sampleRecords(1_900_000_000_000, types).map((record) => ({ ...record, value: decodedOf(record) }))

function askings(subject: TransformSubject): readonly Asking[] {
  const values = records(subject)
  const keys: readonly DirtyKey[] = values.map(({ db, key }) => ({ db, key }))
  const items = subject.items ?? values.flatMap(({ value }) => stringItems(value))
  return [
    {
      name: 'keys',
      count: keys.length,
      ask: async (transform, places) => (await transform.keys?.(places.map((at) => keys[at]))) ?? null,
    },
    {
      name: 'values',
      count: values.length,
      ask: async (transform, places) => (await transform.values?.(places.map((at) => values[at]))) ?? null,
    },
    {
      name: 'items',
      count: items.length,
      ask: async (transform, places) => (await transform.items?.(places.map((at) => items[at]))) ?? null,
    },
  ]
}

const all = ({ count }: Asking): number[] => Array.from({ length: count }, (_, i) => i)

/** Does something for each function that the transform has. */
async function each(
  subject: TransformSubject,
  work: (asking: Asking, answers: readonly (Buffer | DecodedValue | Error | null)[]) => Promise<void>,
): Promise<void> {
  for (const asking of askings(subject)) {
    const answers = await asking.ask(subject.transform, all(asking))
    if (answers !== null) await work(asking, answers)
  }
}

function same(name: string, what: string, a: readonly Answer[], b: readonly Answer[]): void {
  for (const [i, answer] of a.entries())
    ensure(answer === b[i], `${name}: ${what}: question ${i} gets "${answer}" and "${b[i]}"`)
}

/** What every transform must do. */
export const transformChecks: readonly Check<TransformSubject>[] = [
  {
    rule: 'X1',
    name: 'has a function to ask',
    run: async ({ transform: { keys, values, items } }) =>
      ensure(
        keys !== undefined || values !== undefined || items !== undefined,
        'it has neither keys, values nor items',
      ),
  },
  {
    rule: 'X1',
    name: 'answers once for each question',
    run: (subject) =>
      each(subject, async (asking, answers) => {
        const { name, count } = asking
        ensure(answers.length === count, `${name} gives ${answers.length} answers to ${count} questions`)
        for (const [i, answer] of answers.entries())
          ensure(answer !== undefined, `${name} gives no answer to question ${i}`)
        const none = await asking.ask(subject.transform, [])
        ensure(none?.length === 0, `${name} gives answers to no question`)
      }),
  },
  {
    rule: 'X1',
    name: 'answers in the order of the questions',
    run: (subject) =>
      each(subject, async (asking, answers) => {
        const places = all(asking)
        const turned = (await asking.ask(subject.transform, places.toReversed())) ?? []
        same(asking.name, 'asked in another order', answers.map(comparable), turned.toReversed().map(comparable))
        for (const at of all(asking)) {
          const [alone] = (await asking.ask(subject.transform, [at])) ?? []
          same(asking.name, 'asked alone', [comparable(answers[at])], [comparable(alone)])
        }
      }),
  },
  {
    rule: 'X2',
    name: 'gives the same answer to the same question',
    run: (subject) =>
      each(subject, async (asking, answers) => {
        const again = (await asking.ask(subject.transform, all(asking))) ?? []
        same(asking.name, 'asked again', answers.map(comparable), again.map(comparable))
      }),
  },
  {
    rule: 'X2',
    name: 'gives the same answers as another instance',
    skips: ({ again }) => (again === undefined ? 'the subject has no `again`' : null),
    run: async (subject) => {
      const other = await subject.again?.()
      if (other === undefined) skip('the subject has no `again`')
      try {
        await each(subject, async (asking, answers) => {
          const others = (await asking.ask(other, all(asking))) ?? []
          same(asking.name, 'asked of another instance', answers.map(comparable), others.map(comparable))
        })
      } finally {
        await other[Symbol.asyncDispose]?.()
      }
    },
  },
  {
    rule: 'X3',
    name: 'keeps the type of a value',
    skips: ({ transform }) => (transform.values === undefined ? 'the transform has no `values`' : null),
    run: async (subject) => {
      const asked = records(subject)
      const answers = (await subject.transform.values?.(asked)) ?? []
      for (const [i, answer] of answers.entries())
        if (answer !== null && !(answer instanceof Error))
          ensure(
            answer.type === asked[i].value.type && answer.form === asked[i].value.form,
            `a ${asked[i].value.type} became a ${answer.type}`,
          )
    },
  },
  {
    rule: 'X3',
    name: 'gives bytes for names and items, and leaves out by null',
    run: (subject) =>
      each(subject, async ({ name }, answers) => {
        for (const [i, answer] of answers.entries()) {
          if (name === 'items')
            ensure(answer !== null, `items leaves question ${i} out, which only keys and values can`)
          if (name !== 'values')
            ensure(
              answer === null || answer instanceof Error || Buffer.isBuffer(answer),
              `${name} gives something to question ${i} that is no Buffer`,
            )
        }
      }),
  },
  {
    rule: 'X4',
    name: 'lets an Error stand for one question only',
    skips: ({ refused }) => (refused === undefined ? 'the subject has no `refused`' : null),
    run: async (subject) => {
      const { transform, refused } = subject
      if (refused === undefined) skip('the subject has no `refused`')
      const [good] = askings(subject).filter(
        ({ name }) => name === (transform.items === undefined ? 'values' : 'items'),
      )
      const answers = (await good.ask(transform, all(good))) ?? []
      const mixed = await askMixed(subject, refused)
      ensure(mixed.length === answers.length + 1, `a batch with a fault gives ${mixed.length} answers`)
      ensure(mixed[0] instanceof Error, 'no Error stands for a question that has no answer')
      same(good.name, 'asked beside a faulty one', answers.map(comparable), mixed.slice(1).map(comparable))
    },
  },
  {
    rule: 'X5',
    name: 'rejects with a MigrateError, if it rejects',
    run: async (subject) => {
      for (const asking of askings(subject)) {
        const error: unknown = await asking.ask(subject.transform, all(asking)).then(
          () => null,
          (reason: unknown) => reason,
        )
        ensure(error === null || error instanceof MigrateError, `${asking.name} rejects with ${error}`)
        // A batch that fails as a whole would be asked one by one: what is answered at all must be answered then.
        ensure(error === null, `${asking.name} rejects a batch of samples: ${error}`)
      }
    },
  },
  {
    rule: 'X6',
    name: 'closes, also when it is closed',
    skips: ({ transform }) =>
      transform[Symbol.asyncDispose] === undefined ? 'the transform has nothing to close' : null,
    run: async ({ transform }) => {
      const close = async (): Promise<void> => transform[Symbol.asyncDispose]?.()
      await within(close(), CLOSE_MS, 'the end of a transform')
      await within(close(), CLOSE_MS, 'the end of a transform that is closed')
    },
  },
]

/** The questions behind one that has no answer. */
async function askMixed(
  subject: TransformSubject,
  refused: Buffer,
): Promise<readonly (Buffer | DecodedValue | Error | null)[]> {
  const { transform } = subject
  if (transform.items !== undefined) {
    const items = subject.items ?? records(subject).flatMap(({ value }) => stringItems(value))
    return transform.items([refused, ...items])
  }
  const faulty: DecodedRecord = {
    db: 0,
    key: Buffer.from('refused'),
    value: { form: 'items', type: 'string', items: [refused] },
    expireAt: 0,
  }
  return (await transform.values?.([faulty, ...records(subject)])) ?? []
}

function stringItems(value: DecodedValue): readonly Buffer[] {
  return value.form === 'items' && value.type === 'string' ? value.items : []
}
