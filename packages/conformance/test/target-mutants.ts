import {
  type ChangeBatch,
  type Checkpoint,
  type Dialect,
  type KeyReader,
  MigrateError,
  type PlantedKey,
  type SnapshotBatch,
  type SnapshotRecord,
  stringRecord,
  type TargetHolds,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { decodedOf, SAMPLE_TYPES, type TargetSubject } from '../dist/index.js'
import { BROKEN_READERS } from './broken-readers.js'
import { ModestTarget, ServerTarget, targetSubject } from './memory-subjects.js'
import type { Mutant } from './mutant.js'

const NOTHING: WriteResult = { written: 0, skipped: 0, deleted: 0, byteLength: 0, failed: [], notCarried: [] }
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2))

/** A target that takes another batch than it was given. */
const batches = (change: (batch: SnapshotBatch) => SnapshotBatch): TargetSubject =>
  targetSubject(
    new (class extends ServerTarget {
      protected override apply(batch: SnapshotBatch): Promise<WriteResult> {
        return super.apply(change(batch))
      }
    })(),
  )

/** A target that writes other records than it was given. */
const records = (change: (record: SnapshotRecord) => SnapshotRecord): TargetSubject =>
  batches((batch) => ({ ...batch, records: batch.records.map(change) }))

/** A target that answers something else. */
const answers = (change: (result: WriteResult) => WriteResult): TargetSubject =>
  targetSubject(
    new (class extends ServerTarget {
      protected override async apply(batch: SnapshotBatch): Promise<WriteResult> {
        return change(await super.apply(batch))
      }
    })(),
  )

/** A target that does something else with changes. */
const changes = (
  work: (target: OpenTarget, batch: ChangeBatch, checkpoint: Checkpoint | undefined) => Promise<WriteResult>,
): TargetSubject =>
  targetSubject(
    new (class extends OpenTarget {
      protected override changes(batch: ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
        return work(this, batch, checkpoint)
      }
    })(),
  )

/** Lets mutants do what a target does, piece by piece. */
class OpenTarget extends ServerTarget {
  run(batch: ChangeBatch): Promise<WriteResult> {
    return super.changes(batch)
  }

  note(checkpoint: Checkpoint | undefined): void {
    if (checkpoint !== undefined) this.keep(checkpoint)
  }
}

const typeMutants: readonly Mutant<TargetSubject>[] = SAMPLE_TYPES.map((type) => ({
  breaks: `keeps a ${type} as it is`,
  by: 'its last element is missing',
  make: () =>
    records((record) => {
      const value = decodedOf(record)
      if (value.type !== type) return record
      if (value.form === 'stream') return { ...record, value: { ...value, entries: value.entries.slice(0, -1) } }
      const items =
        value.type === 'string'
          ? [value.items[0].subarray(0, -1)]
          : value.items.slice(0, value.type === 'list' ? -1 : -2)
      return { ...record, value: { ...value, items } }
    }),
}))

/** Keeps what it was given, and not a copy. */
class Borrower extends ServerTarget {
  protected override async apply({ records }: SnapshotBatch): Promise<WriteResult> {
    for (const record of records) this.store.set(record)
    return { ...NOTHING, written: records.length }
  }
}

/** Writes each slice as it comes. */
class Impatient extends ServerTarget {
  protected override async apply(batch: SnapshotBatch): Promise<WriteResult> {
    for (const record of batch.records) {
      const { value } = record
      if (value.form !== 'sliced') return super.apply(batch)
      const items: Buffer[] = []
      for await (const slice of value.slices) {
        items.push(...slice.items)
        this.store.set({ ...record, value: { form: 'items', type: 'list', items: [...items] } })
      }
    }
    return { ...NOTHING, written: batch.records.length }
  }
}

/** Takes longer for the first batches than for the last. */
class Overtaken extends ServerTarget {
  private calls = 0

  override async write(batch: SnapshotBatch | ChangeBatch): Promise<WriteResult> {
    const wait = 200 - 4 * this.calls++
    await new Promise((resolve) => setTimeout(resolve, wait))
    return batch.kind === 'snapshot' ? this.apply(batch) : this.changes(batch)
  }
}

/** Says once only that it was lost. */
class Forgetful extends ServerTarget {
  override async write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    try {
      return await super.write(batch, checkpoint)
    } finally {
      this.lost = false
    }
  }
}

/** Lists its checkpoints. */
class Displayed extends ServerTarget {
  protected override keep(checkpoint: Checkpoint): void {
    super.keep(checkpoint)
    this.store.set(stringRecord('checkpoint', checkpoint.position))
  }
}

/** Finds one checkpoint, whoever asks. */
class Careless extends ServerTarget {
  override async checkpoint(): Promise<Checkpoint | undefined> {
    return [...this.kept.values()][0]
  }
}

/** Sliced values lose their slices. */
class Sliceless extends ServerTarget {
  protected override apply(batch: SnapshotBatch): Promise<WriteResult> {
    const records = batch.records.map((record): SnapshotRecord => {
      return record.value.form === 'sliced' ? { ...record, value: { form: 'items', type: 'list', items: [] } } : record
    })
    return super.apply({ ...batch, records })
  }
}

/** Its planted key stays. */
class Planter extends ServerTarget {
  override async plant(): Promise<PlantedKey> {
    return { ...(await super.plant()), remove: async () => undefined }
  }
}

/** What a lost target says instead. */
class OtherCode extends ServerTarget {
  override async write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    if (this.lost) throw new MigrateError('FM_CONNECT_LOST', 'the connection was lost', 'Try again.')
    return super.write(batch, checkpoint)
  }
}

const ownMutants: readonly Mutant<TargetSubject>[] = [
  {
    breaks: 'answers for every key of a batch',
    by: 'what was skipped is not counted',
    make: () => answers((result) => ({ ...result, skipped: 0 })),
  },
  {
    breaks: 'keeps values byte for byte',
    by: 'bytes that are no UTF-8 are replaced',
    make: () =>
      records((record) => {
        const { value } = record
        return value.form === 'items' && value.type === 'string'
          ? { ...record, value: { ...value, items: [Buffer.from(value.items[0].toString())] } }
          : record
      }),
  },
  ...typeMutants,
  {
    breaks: 'keeps what it was given when its memory is used again',
    by: 'it keeps no copy',
    make: () => targetSubject(new Borrower()),
  },
  { breaks: 'keeps expiries', by: 'no key ends', make: () => records((record) => ({ ...record, expireAt: 0 })) },
  {
    breaks: 'drops what has expired',
    by: 'it is written without an end',
    make: () => records((record) => (record.expireAt < Date.now() ? { ...record, expireAt: 0 } : record)),
  },
  {
    breaks: 'replaces, skips or refuses keys that are there',
    by: 'it always replaces',
    make: () => batches((batch) => ({ ...batch, onConflict: 'replace' })),
  },
  {
    breaks: 'changes nothing that is there for a record that has expired, where it shall skip or fail',
    by: 'an expired record deletes the key',
    make: () =>
      batches((batch) =>
        batch.records.some(({ expireAt }) => expireAt > 0 && expireAt < Date.now())
          ? { ...batch, onConflict: 'replace' }
          : batch,
      ),
  },
  {
    breaks: 'replaces a value of another type whole',
    by: 'it never replaces',
    make: () => batches((batch) => ({ ...batch, onConflict: 'skip' })),
  },
  {
    breaks: 'deletes, before it writes',
    by: 'it does not',
    make: () => batches((batch) => ({ ...batch, deletes: [] })),
  },
  {
    breaks: 'deletes, before it writes',
    by: 'it deletes behind the records',
    make: () =>
      targetSubject(
        new (class extends ServerTarget {
          protected override async apply(batch: SnapshotBatch): Promise<WriteResult> {
            const result = await super.apply({ ...batch, deletes: [] })
            for (const { db, key } of batch.deletes ?? []) this.store.delete(db, key)
            return result
          }
        })(),
      ),
  },
  {
    breaks: 'applies the batches of a lane in order',
    by: 'later batches overtake',
    make: () => targetSubject(new Overtaken()),
  },
  { breaks: 'writes sliced values whole', by: 'slices are lost', make: () => targetSubject(new Sliceless()) },
  {
    breaks: 'never shows a half-written value under its name',
    by: 'each slice is written as it comes',
    make: () => targetSubject(new Impatient()),
  },
  {
    breaks: 'leaves nothing of a value whose slices break off under its name',
    by: 'each slice is written as it comes',
    make: () => targetSubject(new Impatient()),
  },
  {
    breaks: 'tells of what it cannot hold',
    by: 'it says nothing',
    make: () => ({
      ...batches((batch) => ({
        ...batch,
        records: batch.records.filter((record) => decodedOf(record).type !== 'stream'),
      })),
      types: SAMPLE_TYPES.filter((type) => type !== 'stream'),
    }),
  },
  {
    breaks: 'keeps the ends of hash fields, or tells that it does not',
    by: 'they are gone without a word',
    make: () =>
      records((record) =>
        record.value.form === 'items' ? { ...record, value: { ...record.value, fieldExpireAt: [] } } : record,
      ),
  },
  {
    breaks: 'keeps databases apart',
    by: 'all keys are in database 0',
    make: () => records((record) => ({ ...record, db: 0 })),
  },
  {
    breaks: 'plants a key that is there until it is removed',
    by: 'it stays',
    make: () => targetSubject(new Planter()),
  },
  {
    breaks: 'applies changes in order',
    by: 'the last comes first',
    make: () => changes((target, batch) => target.run({ ...batch, records: batch.records.toReversed() })),
  },
  {
    breaks: 'tells of the keys of a change that it refuses, and applies the others',
    by: 'it tells nothing',
    make: () => changes(async (target, batch) => ({ ...(await target.run(batch)), failed: [] })),
  },
  {
    breaks: 'tells of the keys of a change that it refuses, and applies the others',
    by: 'it stops at the first',
    make: () =>
      changes((target, batch) => {
        const at = batch.records.findIndex(({ name }) => name === 'NOSUCHCOMMAND')
        return target.run(at < 0 ? batch : { ...batch, records: batch.records.slice(0, at + 1) })
      }),
  },
  {
    breaks: 'keeps a checkpoint with its batch, and out of sight',
    by: 'it is listed as a key',
    make: () => targetSubject(new Displayed()),
  },
  {
    breaks: 'keeps a checkpoint with its batch, and out of sight',
    by: 'all migrations have the same',
    make: () => targetSubject(new Careless()),
  },
  {
    breaks: 'makes a checkpoint durable in one step with its batch',
    by: 'the checkpoint comes first',
    make: () =>
      changes(async (target, batch, checkpoint) => {
        target.note(checkpoint)
        await soon()
        return target.run(batch)
      }),
  },
  {
    breaks: 'makes a checkpoint durable in one step with its batch',
    by: 'the batch comes first',
    make: () =>
      changes(async (target, batch, checkpoint) => {
        const result = await target.run(batch)
        await soon()
        target.note(checkpoint)
        return result
      }),
  },
  {
    breaks: 'throws FM_TARGET_LOST when it may have lost something, until reconnect',
    by: 'once only',
    make: () => targetSubject(new Forgetful()),
  },
  {
    breaks: 'throws FM_TARGET_LOST when it may have lost something, until reconnect',
    by: 'another code',
    make: () => targetSubject(new OtherCode()),
  },
]

/** A target that names other lanes. */
const lanes = (laneOf: (key: Buffer, lanes: number) => number): TargetSubject =>
  targetSubject(
    new (class extends ServerTarget {
      override laneOf(_db: number, key: Buffer, lanes: number): number {
        return laneOf(key, lanes)
      }
    })(),
  )

/** A target that says something else of what it can hold than it does. */
const claims = (holds: TargetHolds, make = (dialect: Dialect): ServerTarget => new Claiming(dialect)): TargetSubject =>
  targetSubject(make({ ...new ServerTarget().dialect, holds }))

/** Holds everything, whatever it says. */
class Claiming extends ServerTarget {
  override readonly dialect: Dialect

  constructor(dialect: Dialect) {
    super()
    this.dialect = dialect
  }
}

/** Holds less than it says. */
class Boastful extends ModestTarget {
  override readonly dialect: Dialect

  constructor(dialect: Dialect) {
    super()
    this.dialect = dialect
  }
}

/** Holds less, and does not tell. */
class Silent extends ModestTarget {
  protected override async apply(batch: SnapshotBatch): Promise<WriteResult> {
    return { ...(await super.apply(batch)), notCarried: [] }
  }
}

const ALL: TargetHolds = { fieldExpiry: true, hyperLogLog: true, databases: true }
const boastful = (): TargetSubject => claims(ALL, (dialect) => new Boastful(dialect))

const choiceMutants: readonly Mutant<TargetSubject>[] = [
  {
    breaks: 'names a lane that there is, for one key always the same',
    by: 'lanes are counted from 1',
    make: () => lanes((key, count) => (key.length % count) + 1),
  },
  {
    breaks: 'names a lane that there is, for one key always the same',
    by: 'they are dealt out',
    make: () => {
      let next = 0
      return lanes((_, count) => next++ % count)
    },
  },
  {
    breaks: 'names a lane that there is, for one key always the same',
    by: 'the first key that is asked for decides',
    make: () => {
      const known: string[] = []
      return lanes((key, count) => {
        const name = key.toString('latin1')
        if (known.at(-1) !== name) known.push(name)
        return known.length % count
      })
    },
  },
  {
    breaks: 'writes what goes through the lane that it names',
    by: 'only the first lane is connected',
    make: () => batches((batch) => (batch.lane === 0 ? batch : { ...batch, records: [] })),
  },
  {
    breaks: 'holds the ends of hash fields, or says that it cannot',
    by: 'it says that it can',
    make: boastful,
  },
  {
    breaks: 'holds the ends of hash fields, or says that it cannot',
    by: 'it says that it cannot, and does',
    make: () => claims({ ...ALL, fieldExpiry: false }),
  },
  {
    breaks: 'holds the ends of hash fields, or says that it cannot',
    by: 'they are gone without a word',
    make: () => targetSubject(new Silent()),
  },
  {
    breaks: 'holds a HyperLogLog as it is, or says that it cannot',
    by: 'it says that it can',
    make: boastful,
  },
  {
    breaks: 'holds a HyperLogLog as it is, or says that it cannot',
    by: 'another one is there',
    make: () =>
      records((record) =>
        String(record.key) === 'hyperloglog' ? stringRecord(record.key, Buffer.from('HYLL')) : record,
      ),
  },
  {
    breaks: 'holds a HyperLogLog as it is, or says that it cannot',
    by: 'nothing tells of one',
    make: () => targetSubject(new Silent()),
  },
  {
    breaks: 'holds several databases, or says that it cannot',
    by: 'it says that it can',
    make: boastful,
  },
  {
    breaks: 'holds several databases, or says that it cannot',
    by: 'it says that it cannot, and nothing says why',
    make: () => claims({ ...ALL, databases: false }),
  },
]

const readerMutants: readonly Mutant<TargetSubject>[] = BROKEN_READERS.map(({ breaks, by, change }) => ({
  breaks,
  by,
  make: () =>
    targetSubject(
      new (class extends ServerTarget {
        override reader(): KeyReader {
          const reader = super.reader()
          return { ...reader, ...change(reader) }
        }
      })(),
    ),
}))

/** Targets that are broken on purpose. */
export const TARGET_MUTANTS: readonly Mutant<TargetSubject>[] = [...ownMutants, ...choiceMutants, ...readerMutants]
