import { type SnapshotRecord, stringRecord, type ValueSlice } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'
import { digestOf, SAMPLE_TYPES } from './samples.js'
import { batchOf, listRecord, type TargetSubject, valueAt } from './target-subject.js'

const SLICES = 20
const SLICE_ITEMS = 50

/** A list in slices; `between` is done before each of them. */
function slicedList(key: string, between: (slice: number) => Promise<void>): SnapshotRecord {
  const slices = async function* (): AsyncGenerator<ValueSlice> {
    for (let slice = 0; slice < SLICES; slice++) {
      await between(slice)
      yield { items: Array.from({ length: SLICE_ITEMS }, (_, i) => Buffer.from(`${slice * SLICE_ITEMS + i}`)) }
    }
  }
  return { db: 0, key: Buffer.from(key), value: { form: 'sliced', type: 'list', slices: slices() }, expireAt: 0 }
}

const wholeList = (key: string): SnapshotRecord =>
  listRecord(key, ...Array.from({ length: SLICES * SLICE_ITEMS }, (_, i) => String(i)))

const lists = ({ types = SAMPLE_TYPES }: TargetSubject): string | null =>
  types.includes('list') ? null : 'the target cannot hold a list'

/** What a target does with values that come in slices. */
export const targetSliceRules: readonly Check<TargetSubject>[] = [
  {
    rule: 'T10',
    name: 'writes sliced values whole',
    skips: lists,
    run: async ({ target }) => {
      await target.write(batchOf([slicedList('sliced', async () => undefined)]))
      const got = await valueAt(target, 'sliced')
      ensure(got !== null && digestOf(got) === digestOf(wholeList('sliced')), 'the slices do not add up')
    },
  },
  {
    rule: 'T11',
    name: 'never shows a half-written value under its name',
    skips: lists,
    run: async ({ target }) => {
      const former = stringRecord('half', 'former')
      await target.write(batchOf([former]))
      let seen = 0
      const write = async (key: string, before: SnapshotRecord | null): Promise<void> => {
        const digest = before === null ? null : digestOf(before)
        const look = async (slice: number): Promise<void> => {
          if (slice % 5 !== 4) return
          const there = await valueAt(target, key)
          if ((there === null ? null : digestOf(there)) !== digest) seen++
        }
        await target.write(batchOf([slicedList(key, look)]))
      }
      await write('half', former)
      await write('half new', null)
      ensure(seen === 0, `a half-written value was there at ${seen} looks`)
    },
  },
  {
    rule: 'T11',
    name: 'leaves nothing of a value whose slices break off under its name',
    skips: lists,
    run: async ({ target }) => {
      const breaks = slicedList('broken', async (slice) => {
        if (slice === SLICES / 2) throw new Error('the source broke off')
      })
      const outcome = await target.write(batchOf([breaks])).then(
        ({ failed }) => (failed.length > 0 ? 'failed' : 'written'),
        () => 'failed',
      )
      ensure(outcome === 'failed', 'a value whose slices break off counts as written')
      ensure((await valueAt(target, 'broken')) === null, 'half of a value is there')
    },
  },
]
