import {
  type ChangeRecord,
  changeOf,
  type DirtyKey,
  type KeyReader,
  type Position,
  type ReadAt,
  type ReadRequest,
  type Shard,
  type ShardChange,
  type SnapshotRecord,
  type SourceEvent,
  stringRecord,
} from '@ferrite-migrate/contracts'
import { decodedOf, MemorySource, MemoryStore, SAMPLE_TYPES, type SourceSubject } from '../dist/index.js'
import { BROKEN_READERS } from './broken-readers.js'
import { brokenSource, ServerSource, serverSubject, sourceSubject } from './memory-subjects.js'
import type { Mutant } from './mutant.js'

/** What is left of an event after it was broken: nothing, another one, or several. */
type Broken = SourceEvent | readonly SourceEvent[] | null

/** A source whose events are changed on the way. */
function events(change: (event: SourceEvent, request: ReadRequest) => Broken): SourceSubject {
  return sourceSubject(
    (store) =>
      new (class extends MemorySource {
        override async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
          for await (const event of super.read(request)) {
            const changed = change(event, request)
            if (changed === null) continue
            if (Array.isArray(changed)) yield* changed
            else yield changed as SourceEvent
          }
        }
      })(store),
  )
}

/** A source whose records are changed on the way. */
const records = (change: (record: SnapshotRecord) => SnapshotRecord): SourceSubject =>
  events((event) => (event.kind === 'snapshot' ? { ...event, records: event.records.map(change) } : event))

/** A source whose commands are changed on the way. */
const commands = (change: (record: ChangeRecord) => ChangeRecord): SourceSubject =>
  events((event) => (event.kind === 'changes' ? { ...event, records: event.records.map(change) } : event))

/** A source whose positions are changed on the way; without an answer they are missing. */
const positions = (change: (event: SourceEvent) => Position | undefined): SourceSubject =>
  events((event) => {
    if (!('position' in event)) return event
    const changed = { ...event, position: '' }
    const position = change(event)
    if (position === undefined) Reflect.deleteProperty(changed, 'position')
    else changed.position = position
    return changed
  })

/** A source of another class. */
const another = (make: (store: MemoryStore) => MemorySource): SourceSubject => sourceSubject(make)

/** A source that reads from somewhere else than it is told. */
const readsFrom = (change: (from: Position) => Position | undefined, mode?: 'partial'): SourceSubject =>
  another(
    (store) =>
      new (class extends MemorySource {
        override async *read({ from, ...request }: ReadRequest): AsyncGenerator<SourceEvent> {
          const changed = from === undefined ? undefined : change(from)
          for await (const event of super.read(changed === undefined ? request : { ...request, from: changed }))
            yield event.kind === 'sync' && from !== undefined && mode !== undefined ? { ...event, mode } : event
        }
      })(store),
  )

const START = 'memory:0:0:end'

/** A value that lacks its last element; a string its last byte. */
function shortened(record: SnapshotRecord): SnapshotRecord {
  const value = decodedOf(record)
  if (value.form === 'stream') return { ...record, value: { ...value, entries: value.entries.slice(0, -1) } }
  if (value.type === 'string') return { ...record, value: { ...value, items: [value.items[0].subarray(0, -1)] } }
  return { ...record, value: { ...value, items: value.items.slice(0, -2) } }
}

/** Eleven faults of a plugin that once passed the kit, and the two that did not. */
const authorMutants: readonly Mutant<SourceSubject>[] = [
  {
    breaks: 'goes on with changes behind a position: nothing lost, nothing twice',
    by: 'the position is always the start',
    make: () => positions(() => START),
  },
  {
    breaks: 'goes on with changes behind a position: nothing lost, nothing twice',
    by: '`from` is ignored',
    make: () => readsFrom(() => undefined),
  },
  {
    breaks: 'gives each change once, in order',
    by: 'each change is given twice',
    make: () => events((event) => (event.kind === 'changes' ? [event, event] : event)),
  },
  {
    breaks: 'gives each change a position, which moves on',
    by: 'changes have no position',
    make: () => positions(({ kind }) => (kind === 'changes' ? undefined : START)),
  },
  {
    breaks: 'gives a command with the bytes of its arguments and its name in upper case',
    by: '`resp` has a wrong header',
    make: () =>
      commands((change) => ({ ...change, resp: Buffer.concat([Buffer.from('*9'), change.resp.subarray(2)]) })),
  },
  {
    breaks: 'gives a command with the bytes of its arguments and its name in upper case',
    by: 'the name is in lower case',
    make: () => commands((change) => ({ ...change, name: change.name.toLowerCase() })),
  },
  {
    breaks: 'ends soon when it is aborted while nothing happens',
    by: 'it never wakes',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            protected override async sleep(): Promise<void> {
              await new Promise(() => undefined)
            }
          })(store),
      ),
  },
  {
    breaks: 'knows which of two positions covers the other',
    by: 'every position covers every other',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            protected override covers(): boolean {
              return true
            }
          })(store),
      ),
  },
  {
    breaks: 'knows which of two positions covers the other',
    by: 'a position does not cover itself',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            protected override covers(position: Position, mark: Position): boolean {
              return position !== mark && super.covers(position, mark)
            }
          })(store),
      ),
  },
  {
    breaks: 'is broken with a MigrateError',
    by: 'an error of its own',
    make: () => ({ ...sourceSubject(), broken: async () => brokenSource(new TypeError('not a function')) }),
  },
  {
    breaks: 'gives changes that lead to the new values',
    by: 'every value is the same',
    make: () => commands((change) => changeOf(change.db, ['SET', change.argv[1], 'constant'], change.receivedAt)),
  },
  {
    breaks: 'gives changes after the snapshot',
    by: 'changes are claimed, and the subject makes none',
    make: () => {
      const { change: _, ...subject } = sourceSubject()
      return subject
    },
  },
  {
    breaks: 'gives changes after the snapshot',
    by: 'changes are claimed, and none come',
    make: () => events((event) => (event.kind === 'changes' ? null : event)),
  },
]

const typeMutants: readonly Mutant<SourceSubject>[] = SAMPLE_TYPES.map((type) => ({
  breaks: `gives a ${type} as it is`,
  by: 'its last element is missing',
  make: () => records((record) => (decodedOf(record).type === type ? shortened(record) : record)),
}))

/** Keys and values lie in a block that the next event is read into. */
class OneBlock extends MemorySource {
  private readonly block = Buffer.alloc(4096)

  override async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    for await (const event of super.read(request))
      yield event.kind === 'snapshot' ? { ...event, records: this.packed(event.records) } : event
  }

  private packed(list: readonly SnapshotRecord[]): SnapshotRecord[] {
    let at = 0
    return list.map((record) => {
      const length = record.key.copy(this.block, at)
      at += length
      return { ...record, key: this.block.subarray(at - length, at) }
    })
  }
}

/** Two shards that are called the same. */
class SameIds extends MemorySource {
  override readonly shards: readonly Shard[] = ['0', '0'].map((id) => ({ id, read: (request) => this.read(request) }))
}

/** One for each other rule. */
const otherMutants: readonly Mutant<SourceSubject>[] = [
  {
    breaks: 'starts with a sync event and ends a snapshot with snapshot-end',
    by: 'no snapshot-end',
    make: () => events((event) => (event.kind === 'snapshot-end' ? null : event)),
  },
  {
    breaks: 'starts with a sync event and ends a snapshot with snapshot-end',
    by: 'no sync',
    make: () => events((event) => (event.kind === 'sync' ? null : event)),
  },
  {
    breaks: 'gives each shard an id of its own',
    by: 'two shards are called the same',
    make: () => another((store) => new SameIds(store)),
  },
  {
    breaks: 'gives every key',
    by: 'the first of each event is missing',
    make: () => events((event) => (event.kind === 'snapshot' ? { ...event, records: event.records.slice(1) } : event)),
  },
  {
    breaks: 'gives every key again to who reads again',
    by: 'what was given once is remembered',
    make: () => {
      const given = new Set<string>()
      return events((event) => {
        if (event.kind !== 'snapshot') return event
        const fresh = event.records.filter(({ db, key }) => !given.has(`${db}:${key.toString('latin1')}`))
        for (const { db, key } of event.records) given.add(`${db}:${key.toString('latin1')}`)
        return { ...event, records: fresh }
      })
    },
  },
  {
    breaks: 'gives no key that is not there',
    by: 'another key',
    make: () =>
      records((record) => (String(record.key) === 'list' ? { ...record, key: Buffer.from('invented') } : record)),
  },
  {
    breaks: 'gives no key twice where it says so',
    by: 'each event comes twice',
    make: () => events((event) => (event.kind === 'snapshot' ? [event, event] : event)),
  },
  {
    breaks: 'gives values byte for byte',
    by: 'bytes that are no UTF-8 are replaced',
    make: () =>
      records((record) => {
        const value = decodedOf(record)
        return value.form === 'items' && value.type === 'string'
          ? stringRecord(record.key, value.items[0].toString(), record)
          : record
      }),
  },
  {
    breaks: 'gives a stream as it is',
    by: 'the subject says that it holds a stream, and expects none',
    make: () => {
      const subject = sourceSubject()
      const expected = subject.expected.filter((record) => decodedOf(record).type !== 'stream')
      return { ...subject, expected, types: SAMPLE_TYPES }
    },
  },
  ...typeMutants,
  {
    breaks: 'gives expiries as absolute times',
    by: 'times to live',
    make: () => records((record) => ({ ...record, expireAt: record.expireAt > 0 ? 3_600_000 : 0 })),
  },
  {
    breaks: 'gives expiries as absolute times',
    by: 'every key ends',
    make: () => records((record) => ({ ...record, expireAt: record.expireAt || Date.now() })),
  },
  {
    breaks: 'keeps records valid until their event is released',
    by: 'the next event is read over the former',
    make: () => another((store) => new OneBlock(store)),
  },
  {
    breaks: 'gives a value in slices alone in its event',
    by: 'another record beside it',
    make: () =>
      sourceSubject(
        (store) =>
          new (class extends MemorySource {
            override async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
              for await (const event of super.read(request))
                yield event.kind === 'snapshot'
                  ? { ...event, records: [...event.records, stringRecord('beside', 'x')] }
                  : event
            }
          })(store, { sliceLimit: 1 }),
      ),
  },
  {
    breaks: 'ends without an error when it is aborted',
    by: 'it throws',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            override async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
              yield* super.read(request)
              request.signal.throwIfAborted()
            }
          })(store),
      ),
  },
  {
    breaks: 'starts over with a full sync and a whole snapshot',
    by: 'it does not say that it starts over',
    make: () => {
      let syncs = 0
      return events((event) => (event.kind === 'sync' && syncs++ > 0 ? null : event))
    },
  },
  {
    breaks: 'starts over with a full sync and a whole snapshot',
    by: 'the second snapshot is empty',
    make: () => {
      let syncs = 0
      return events((event) => {
        if (event.kind === 'sync') syncs++
        return event.kind === 'snapshot' && syncs > 1 ? null : event
      })
    },
  },
  {
    breaks: 'sees a key that is there, and no other one',
    by: 'it sees everything',
    make: () =>
      serverSubject(
        (store) =>
          new (class extends ServerSource {
            override async sees(): Promise<boolean> {
              return true
            }
          })(store),
      ),
  },
  {
    breaks: 'gives each change once, in order',
    by: 'the last comes first',
    make: () =>
      events((event) => (event.kind === 'changes' ? { ...event, records: event.records.toReversed() } : event)),
  },
  {
    breaks: 'never splits a transaction over two events',
    by: 'each command is an event',
    make: () =>
      events((event) =>
        event.kind === 'changes' ? event.records.map((record) => ({ ...event, records: [record] })) : event,
      ),
  },
  {
    breaks: 'starts an event with a command that empties the source',
    by: 'another command before it',
    make: () =>
      events((event) =>
        event.kind === 'changes' && event.records[0]?.name === 'FLUSHALL'
          ? { ...event, records: [changeOf(0, ['SET', 'x', 'y']), ...event.records] }
          : event,
      ),
  },
  {
    breaks: 'gives each change a position, which moves on',
    by: 'an empty position',
    make: () => positions(() => ''),
  },
  {
    breaks: 'gives each change a position, which moves on',
    by: 'a position that stays',
    make: () => positions(() => START),
  },
  {
    breaks: 'goes on with a snapshot behind a position: nothing lost',
    by: 'the resumed snapshot is empty',
    make: () => readsFrom((from) => from.replace(/[0-9a-f]+\.$/, 'end'), 'partial'),
  },
  {
    breaks: 'goes on with a snapshot behind a position: nothing lost',
    by: 'a snapshot without positions',
    make: () => positions(() => undefined),
  },
  {
    breaks: 'goes on with a snapshot behind a position: nothing twice',
    by: 'all of it comes again',
    make: () => readsFrom(() => undefined, 'partial'),
  },
  {
    breaks: 'goes on with changes behind a position: nothing lost, nothing twice',
    by: 'what happened meanwhile is missing',
    make: () => readsFrom(() => 'memory:0:1000:end', 'partial'),
  },
  {
    breaks: 'goes on behind the end of its snapshot',
    by: 'the end of the snapshot has no position',
    make: () => positions((event) => (event.kind === 'snapshot-end' ? undefined : START)),
  },
  {
    breaks: 'refuses what is no position of its own by a MigrateError',
    by: 'it reads everything',
    make: () => readsFrom((from) => (from.startsWith('memory:') ? from : undefined)),
  },
  {
    breaks: 'takes an acknowledgement of each position, and goes on',
    by: 'it stops',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            private heard = false
            protected override acknowledge(): void {
              this.heard = true
            }
            override async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
              for await (const event of super.read(request)) if (!this.heard) yield event
            }
          })(store),
      ),
  },
  {
    breaks: 'tells how far it is behind in numbers that are not negative',
    by: 'a negative lag',
    make: () =>
      another(
        (store) =>
          new (class extends MemorySource {
            protected override async lag() {
              return { keys: -1 }
            }
          })(store),
      ),
  },
  {
    breaks: 'reads values that belong to their position',
    by: 'the position is an older one',
    make: () => readsAt(({ records }) => ({ records, position: 'memory:0:1:end' })),
  },
  {
    breaks: 'reads values that belong to their position',
    by: 'no event ends at the position',
    make: () => readsAt(({ records }) => ({ records, position: 'memory:0:1000:end' })),
  },
  {
    breaks: 'reads values that belong to their position',
    by: 'the value is an older one',
    make: () =>
      readsAt(({ records, position }) => ({
        records: [stringRecord('kit:at', 'first'), ...records.slice(1)],
        position,
      })),
  },
]

/** A source whose `readAt` answers something else. */
function readsAt(change: (answer: ReadAt) => ReadAt): SourceSubject {
  return another(
    (store) =>
      new (class extends MemorySource {
        protected override async readAt(keys: readonly DirtyKey[]): Promise<ReadAt> {
          return change(await super.readAt(keys))
        }
      })(store),
  )
}

/** A source in shards that tells something else of those that come and go. */
const watches = (change: (change: ShardChange) => ShardChange | null): SourceSubject =>
  serverSubject(
    (store) =>
      new (class extends ServerSource {
        override async *watch(signal: AbortSignal): AsyncGenerator<ShardChange> {
          for await (const one of super.watch(signal)) {
            const changed = change(one)
            if (changed !== null) yield changed
          }
        }
      })(store),
  )

/** A source in shards that are other ones than they should be, whoever owns a key. */
const shardsOf = (change: (shard: Shard, i: number) => Shard): SourceSubject =>
  serverSubject(
    (store) =>
      new (class extends ServerSource {
        override readonly shards = new ServerSource(store).shards.map(change)
      })(store),
  )

const shardMutants: readonly Mutant<SourceSubject>[] = [
  {
    breaks: 'ends the watching of its shards when it is aborted',
    by: 'it never wakes',
    make: () =>
      serverSubject(
        (store) =>
          new (class extends ServerSource {
            protected override async sleep(): Promise<void> {
              await new Promise(() => undefined)
            }
          })(store),
      ),
  },
  {
    breaks: 'ends the watching of its shards when it is aborted',
    by: 'it ends at once',
    make: () =>
      serverSubject(
        (store) =>
          new (class extends ServerSource {
            override async *watch(): AsyncGenerator<ShardChange> {}
          })(store),
      ),
  },
  {
    breaks: 'ends the watching of its shards when it is aborted',
    by: 'it throws',
    make: () =>
      serverSubject(
        (store) =>
          new (class extends ServerSource {
            override async *watch(signal: AbortSignal): AsyncGenerator<ShardChange> {
              yield* super.watch(signal)
              signal.throwIfAborted()
            }
          })(store),
      ),
  },
  {
    breaks: 'gives a shard that came since it was opened, which can be read',
    by: 'what came before it was watched is not told',
    make: () =>
      serverSubject(
        (store) =>
          new (class extends ServerSource {
            override async *watch(signal: AbortSignal): AsyncGenerator<ShardChange> {
              let former = this.told
              for await (const change of super.watch(signal)) if (former-- <= 0) yield change
            }
          })(store),
      ),
  },
  {
    breaks: 'gives a shard that came since it was opened, which can be read',
    by: 'it is called like another one',
    make: () =>
      watches((change) => (change.kind === 'added' ? { ...change, shard: { ...change.shard, id: '0' } } : change)),
  },
  {
    breaks: 'gives a shard that came since it was opened, which can be read',
    by: 'it is empty',
    make: () =>
      watches((change) =>
        change.kind === 'added'
          ? { ...change, shard: { ...new MemorySource(new MemoryStore()).shards[0], id: change.shard.id } }
          : change,
      ),
  },
  {
    breaks: 'ends the reading of a shard that went, and says that it did',
    by: 'the reading goes on',
    make: () =>
      watches((change) =>
        change.kind === 'added'
          ? { ...change, shard: { ...new MemorySource(new MemoryStore()).shards[0], id: change.shard.id } }
          : change,
      ),
  },
  {
    breaks: 'ends the reading of a shard that went, and says that it did',
    by: 'nothing is said',
    make: () => watches((change) => (change.kind === 'removed' ? null : change)),
  },
  {
    breaks: 'ends the reading of a shard that went, and says that it did',
    by: 'another one is said to have gone',
    make: () => watches((change) => (change.kind === 'removed' ? { ...change, shard: '1' } : change)),
  },
  {
    breaks: 'has exactly one shard that owns a key, of those that say so',
    by: 'each owns all',
    make: () => shardsOf((shard) => ({ ...shard, owns: () => true })),
  },
  {
    breaks: 'has exactly one shard that owns a key, of those that say so',
    by: 'a key is nobody’s',
    make: () =>
      shardsOf((shard) => ({
        ...shard,
        owns: (db, key) => String(key) !== 'list' && (shard.owns?.(db, key) ?? false),
      })),
  },
  {
    breaks: 'brings no key in a snapshot whose shard does not own it',
    by: 'each says what the other owns',
    make: () => shardsOf((shard) => ({ ...shard, owns: (db, key) => !(shard.owns?.(db, key) ?? false) })),
  },
  {
    breaks: 'brings no key in a snapshot whose shard does not own it',
    by: 'each brings the keys of all',
    make: () => shardsOf((shard) => ({ ...shard, read: (request) => everything(request) })),
  },
]

/** What a source of one shard gives. */
function everything(request: ReadRequest): AsyncIterable<SourceEvent> {
  const [shard] = sourceSubject().source.shards
  return shard.read(request)
}

const readerMutants: readonly Mutant<SourceSubject>[] = BROKEN_READERS.map(({ breaks, by, change }) => ({
  breaks,
  by,
  make: () =>
    serverSubject(
      (store) =>
        new (class extends ServerSource {
          override reader(): KeyReader {
            const reader = super.reader()
            return { ...reader, ...change(reader) }
          }
        })(store),
    ),
}))

/** Sources that are broken on purpose. */
export const SOURCE_MUTANTS: readonly Mutant<SourceSubject>[] = [
  ...authorMutants,
  ...otherMutants,
  ...shardMutants,
  ...readerMutants,
]
