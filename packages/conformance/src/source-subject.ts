import type { SnapshotRecord, Source } from '@ferrite-migrate/contracts'
import type { SampleType } from './samples.js'

/** What the kit needs to try a source: one that holds exactly `expected`, and ways to make things happen at it. */
export interface SourceSubject {
  readonly source: Source
  readonly expected: readonly SnapshotRecord[]
  /** The types that it can hold, when not all: the others are told as skipped. Default: those of `expected`. */
  readonly types?: readonly SampleType[]
  /** How long to wait for what must come, ms; default 20,000. */
  readonly patienceMs?: number
  /** Sets a key to a string at the source, for those that give changes; of several shards, in the first one. */
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
  /** Opens a source over something that cannot be read, at once or when it is read. */
  broken?(): Promise<Source>
}

const PATIENCE_MS = 20_000

/** How long to wait for what must come, ms. */
export function patienceOf({ patienceMs = PATIENCE_MS }: SourceSubject): number {
  return patienceMs
}

/** Why nothing can be said of changes; null = it can. */
export function withoutChanges({ source, change, recorded }: SourceSubject): string | null {
  if (source.capabilities.changes === 'none') return 'the source claims no changes'
  return change === undefined && recorded === undefined ? 'the subject makes no changes, for which S11 fails' : null
}
