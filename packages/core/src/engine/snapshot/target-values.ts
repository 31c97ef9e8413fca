import type { KnownValues } from '../../records/known-values.js'

/** What the target held before this process wrote anything, where it can tell at once: for the first shard that begins with it. */
export class TargetValues {
  private read: (() => Promise<KnownValues | null>) | null

  /** @param read null = it cannot tell */
  constructor(read: (() => Promise<KnownValues | null>) | null) {
    this.read = read
  }

  /** Null = nobody knows, or knows any more: each key has to be looked at. */
  async take(): Promise<KnownValues | null> {
    const { read } = this
    this.read = null
    return (await read?.()) ?? null
  }
}
