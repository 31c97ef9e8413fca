import type { SnapshotRecord, Source } from '@ferrite-migrate/contracts'
import { skip } from './harness.js'
import type { SampleType } from './samples.js'

/** What the kit needs to try a source: one that holds exactly `expected`, and ways to make things happen at it. */
export interface SourceSubject {
  readonly source: Source
  readonly expected: readonly SnapshotRecord[]
  /** The types that it can hold, when not all: the others are told as skipped. Default: those of `expected`. */
  readonly types?: readonly SampleType[]
  /** How long to wait for what must come, ms; default 20,000. */
  readonly patienceMs?: number
  /** Sets a key to a string at the source, for those that give changes; of several shards, in the first one (see `keyOf`). */
  change?(key: string, value: string): Promise<void>
  /** For a source whose changes are in it already (a file): what they set, in order, each with a key of its own. */
  readonly recorded?: readonly (readonly [key: string, value: string])[]
  /** Sets keys in one transaction. */
  transaction?(entries: readonly (readonly [key: string, value: string])[]): Promise<void>
  /** Empties the source by one command. */
  flush?(): Promise<void>
  /** Makes the source start over while it is read: what it gave before is void. */
  startOver?(): Promise<void>
  /** The same source opened once more, as a later process does; default: it is read again. */
  reopen?(): Promise<Source>
  /** Lets a shard come, for a source that watches its shards; gives some of what it holds. */
  addShard?(): Promise<readonly SnapshotRecord[]>
  /** Lets a shard that came go again. */
  removeShard?(id: string): Promise<void>
  /** Opens a source over something that cannot be read, at once or when it is read. */
  broken?(): Promise<Source>
}

const PATIENCE_MS = 20_000

/** How long to wait for what must come, ms. */
export function patienceOf({ patienceMs = PATIENCE_MS }: SourceSubject): number {
  return patienceMs
}

/** Names that are tried for a key of one shard of several. */
const MOST_NAMES = 100_000

/** A key that is called so, or nearly so, and is the first shard's own where its shards say whose a key is. */
export function keyOf({ source }: SourceSubject, name: string): string {
  const [shard] = source.shards
  for (let n = 0; n < MOST_NAMES; n++) {
    const key = n === 0 ? name : `${name} ${n}`
    if (shard.owns?.(0, Buffer.from(key)) ?? true) return key
  }
  throw new Error(`the shard ${shard.id} owns no key that is called like ${name}`)
}

/** What the first shard holds. @throws Skipped where there are several, and nobody says whose a key is */
export function ownRecords({ source, expected }: SourceSubject): readonly SnapshotRecord[] {
  const [shard, ...others] = source.shards
  if (others.length === 0) return expected
  if (shard.owns === undefined) skip('the source has several shards, which do not say whose a key is')
  return expected.filter(({ db, key }) => shard.owns?.(db, key))
}

/** Why nothing can be said of changes; null = it can. */
export function withoutChanges({ source, change, recorded }: SourceSubject): string | null {
  if (source.capabilities.changes === 'none') return 'the source claims no changes'
  return change === undefined && recorded === undefined ? 'the subject makes no changes, for which S11 fails' : null
}
