import type { DecodedRecord, DecodedValue, DirtyKey, Transform } from '@ferrite-migrate/contracts'
import type { TransformSubject } from '../dist/index.js'
import type { Mutant } from './mutant.js'
import { transformSubject, UpperCase } from './upper-case.js'

/** A transform with another answer of `items`. */
const items = (change: (answers: readonly (Buffer | Error)[]) => readonly (Buffer | Error)[]): TransformSubject =>
  transformSubject(
    new (class extends UpperCase {
      override async items(asked: readonly Buffer[]): Promise<readonly (Buffer | Error)[]> {
        return change(await super.items(asked))
      }
    })(),
  )

/** A transform with another answer of `values`. */
const values = (
  change: (answer: DecodedValue | null | Error, at: number) => DecodedValue | null | Error,
): TransformSubject =>
  transformSubject(
    new (class extends UpperCase {
      override async values(asked: readonly DecodedRecord[]): Promise<readonly (DecodedValue | null | Error)[]> {
        return (await super.values(asked)).map(change)
      }
    })(),
  )

/** A transform that puts something else before names. */
const named = (prefix: () => string): Transform =>
  new (class extends UpperCase {
    override async keys(keys: readonly DirtyKey[]): Promise<readonly Buffer[]> {
      const before = Buffer.from(prefix())
      return keys.map(({ key }) => Buffer.concat([before, key]))
    }
  })()

/** Transforms that are broken on purpose. */
export const TRANSFORM_MUTANTS: readonly Mutant<TransformSubject>[] = [
  { breaks: 'has a function to ask', by: 'it has none', make: () => transformSubject({}) },
  {
    breaks: 'answers once for each question',
    by: 'the last answer is missing',
    make: () => items((answers) => answers.slice(0, -1)),
  },
  {
    breaks: 'answers in the order of the questions',
    by: 'in the order of the alphabet',
    make: () => items((answers) => answers.toSorted((a, b) => String(a).localeCompare(String(b)))),
  },
  {
    breaks: 'answers in the order of the questions',
    by: 'the last comes first',
    make: () => items((answers) => answers.toReversed()),
  },
  {
    breaks: 'gives the same answer to the same question',
    by: 'a number that counts on',
    make: () => {
      let calls = 0
      return transformSubject(named(() => `${calls++}:`))
    },
  },
  {
    breaks: 'gives the same answers as another instance',
    by: 'each instance has a name of its own',
    make: () =>
      transformSubject(
        named(() => 'one:'),
        named(() => 'two:'),
      ),
  },
  {
    breaks: 'keeps the type of a value',
    by: 'everything becomes a string',
    make: () => values(() => ({ form: 'items', type: 'string', items: [Buffer.from('x')] })),
  },
  {
    breaks: 'gives bytes for names and items, and leaves out by null',
    by: 'text in place of bytes',
    make: () =>
      transformSubject(
        new (class extends UpperCase {
          override async keys(keys: readonly DirtyKey[]): Promise<readonly Buffer[]> {
            // What plain JavaScript does by mistake.
            const texts: Buffer[] = JSON.parse(JSON.stringify(keys.map(({ key }) => key.toString())))
            return texts
          }
        })(),
      ),
  },
  {
    breaks: 'lets an Error stand for one question only',
    by: 'its neighbour fails as well',
    make: () =>
      items((answers) =>
        answers.map((answer, at) => (at > 0 && answers[at - 1] instanceof Error ? new Error('beside') : answer)),
      ),
  },
  {
    breaks: 'lets an Error stand for one question only',
    by: 'an empty string stands for it',
    make: () => items((answers) => answers.map((answer) => (answer instanceof Error ? Buffer.alloc(0) : answer))),
  },
  {
    breaks: 'rejects with a MigrateError, if it rejects',
    by: 'an error of its own',
    make: () =>
      items(() => {
        throw new TypeError('not a function')
      }),
  },
  {
    breaks: 'closes, also when it is closed',
    by: 'a second time is an error',
    make: () => {
      let closed = 0
      return transformSubject(
        new (class extends UpperCase {
          override async [Symbol.asyncDispose](): Promise<void> {
            if (closed++ > 0) throw new Error('it is closed')
          }
        })(),
      )
    },
  },
]
