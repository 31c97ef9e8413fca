import type { DirtyKey } from '@ferrite-migrate/contracts'

/** Names of keys that have changed, as a server or several tell them. */
export interface ChangeFeed {
  /** Events seen so far. */
  readonly events: number
  /** True once it is known that the source sends events. */
  readonly proven: boolean
  /** Changed keys that nobody has taken. */
  readonly pending: number
  /** Streams that are known. */
  readonly streamCount: number
  /** Resolves when the subscription stands. @throws MigrateError */
  start(): Promise<void>
  /** True once after events may have been missed: everything has to be looked at again. */
  takeMissed(): boolean
  /** True once after keys may have vanished without an event. */
  takeVanished(): boolean
  /** Up to `most` changed keys of one database. */
  take(most: number): DirtyKey[]
  /** Notes a stream, so that its groups are looked at again. */
  addStream(db: number, key: Buffer): void
  /** Up to `most` streams of one database, each in its turn. */
  takeStreams(most: number): DirtyKey[]
  /** Waits for an event or the time, ms. @throws what ended the feed */
  wait(ms: number): Promise<void>
  /** Ends the feed and puts back what it set at the source. */
  close(): Promise<void>
}
