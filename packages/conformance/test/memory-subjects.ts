import {
  type ChangeBatch,
  type ChangeRecord,
  type Checkpoint,
  changeOf,
  type Dialect,
  type KeyReader,
  MigrateError,
  type NotCarried,
  type PlantedKey,
  type SnapshotBatch,
  type SnapshotRecord,
  type Source,
  stringRecord,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { keySlot } from '@ferrite-migrate/protocol'
import {
  MemoryCluster,
  MemorySource,
  MemoryStore,
  MemoryTarget,
  type SourceSubject,
  sampleRecords,
  type TargetSubject,
} from '../dist/index.js'

/** How long a broken source is waited for, ms. */
const PATIENCE_MS = 1000

const set = ([key, value]: readonly [string, string]): ChangeRecord => changeOf(0, ['SET', key, value])

/** What a reader over memory does, and all that a reader may be able to do besides. */
function ableReader(store: MemoryStore): KeyReader {
  return { ...store.reader(), raw: store.pages(), byBytes: async (_, keys) => keys.map((key) => [key]) }
}

/** A source that can be asked for a key, and whose shards come and go, as those of servers can. */
export class ServerSource extends MemoryCluster {
  /** How many shards came or went so far. */
  protected told = 0

  override join(id: string): void {
    this.told++
    super.join(id)
  }

  override reader(): KeyReader {
    return ableReader(this.store)
  }

  async sees(db: number, key: Buffer): Promise<boolean> {
    return this.store.get(db, key) !== null
  }
}

/** A target that can lose what it has, and be planted in, as a server can. */
export class ServerTarget extends MemoryTarget {
  protected lost = false

  override reader(): KeyReader {
    return ableReader(this.store)
  }

  /** Loses everything, as a server without a file does that is started again. */
  lose(): void {
    this.store.records.clear()
    this.kept.clear()
    this.lost = true
  }

  async reconnect(): Promise<void> {
    this.lost = false
  }

  override async write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    if (this.lost)
      throw new MigrateError('FM_TARGET_LOST', 'memory was emptied', 'The migration goes on from its checkpoint.', {
        retryable: true,
      })
    return super.write(batch, checkpoint)
  }

  laneOf(_db: number, key: Buffer, lanes: number): number {
    return keySlot(key) % lanes
  }

  async plant(): Promise<PlantedKey> {
    const [db, key] = [0, Buffer.from('planted')]
    this.store.set(stringRecord(key, '1', { db }))
    return { db, key, remove: async () => void this.store.delete(db, key) }
  }
}

/** A target that can hold less, and says so. */
export class ModestTarget extends ServerTarget {
  override readonly dialect: Dialect = {
    ...new MemoryTarget().dialect,
    holds: { fieldExpiry: false, hyperLogLog: false, databases: false },
  }

  async refusesDatabase(db: number): Promise<string | null> {
    return db === 0 ? null : 'there is database 0 only'
  }

  protected override async apply(batch: SnapshotBatch): Promise<WriteResult> {
    const notCarried: NotCarried[] = []
    const leftOut = (what: string, { db, key }: SnapshotRecord): void => void notCarried.push({ what, db, key })
    const records = batch.records.map((record): SnapshotRecord => {
      const { value } = record
      if (value.form !== 'items') return record
      const { fieldExpireAt, ...bare } = value
      if (value.type === 'string' && value.items[0].toString('latin1').startsWith('HYLL'))
        leftOut('hyperloglog', record)
      if (fieldExpireAt === undefined) return record
      leftOut('hash-field-ttl', record)
      return { ...record, value: bare }
    })
    return { ...(await super.apply({ ...batch, records })), notCarried }
  }
}

/** A source over memory of one shard, or another one that is made. */
export function sourceSubject(
  make: (store: MemoryStore) => MemorySource = (store) => new MemorySource(store, { batchSize: 4, sliceLimit: 3 }),
): SourceSubject {
  const store = new MemoryStore()
  const expected = sampleRecords()
  for (const record of expected) store.set(record)
  const source = make(store)
  return {
    source,
    expected,
    patienceMs: PATIENCE_MS,
    change: async (key, value) => source.changed(stringRecord(key, value)),
    transaction: async (entries) => source.run(...entries.map(set)),
    flush: async () => source.run(changeOf(0, ['FLUSHALL'])),
    startOver: async () => source.startOver(),
    broken: async () => brokenSource(),
  }
}

/** A source over memory that can do whatever the kit asks for; its keys are in two shards. */
export function serverSubject(
  make: (store: MemoryStore) => ServerSource = (store) => new ServerSource(store, { batchSize: 2, sliceLimit: 3 }),
): SourceSubject {
  const made: ServerSource[] = []
  const subject = sourceSubject((store) => {
    const source = make(store)
    made.push(source)
    return source
  })
  const [source] = made
  return {
    ...subject,
    addShard: async () => {
      source.join('2')
      return subject.expected.filter(({ key }) => source.ownerOf(key) === '2')
    },
    removeShard: async (id) => source.leave(id),
  }
}

/** A source that cannot be read. */
export function brokenSource(
  error: Error = new MigrateError('FM_FILE_UNREADABLE', 'it cannot be read', 'Give another one.'),
): Source {
  return new (class extends MemorySource {
    // biome-ignore lint/correctness/useYield: that nothing comes is what it is for
    override async *read(): AsyncGenerator<never> {
      throw error
    }
  })(new MemoryStore())
}

/** A target over memory that can do whatever the kit asks for. */
export function targetSubject(target: ServerTarget = new ServerTarget()): TargetSubject {
  return { target, lose: async () => target.lose() }
}
