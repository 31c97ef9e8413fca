import { type DirtyKey, type KeyReader, MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'

const KEYS = 100
/** Keys that end sooner say nothing when they are gone. */
const ENDS_AFTER_MS = 10 * 60_000

/**
 * Some of the keys that a target said it has written, taken at random, and a look at whether they are there: an OK alone
 * does not tell (a cache that is full, a proxy that drops, a server that evicts).
 */
export class WrittenSample {
  private readonly keys: DirtyKey[] = []
  private batches = 0

  /** Takes one key of a batch, as long as each batch has the same chance. */
  note(records: readonly SnapshotRecord[]): void {
    this.batches++
    const place = this.keys.length < KEYS ? this.keys.length : Math.floor(Math.random() * this.batches)
    if (place >= KEYS) return
    const record = records[Math.floor(Math.random() * records.length)]
    if (record.expireAt > 0 && record.expireAt < Date.now() + ENDS_AFTER_MS) return
    this.keys[place] = { db: record.db, key: Buffer.from(record.key) }
  }

  /** What was written so far may be gone for good reason: the source begins anew. */
  forget(): void {
    this.keys.length = 0
    this.batches = 0
  }

  /**
   * Looks for them, and forgets them. Gives how many there were and how many of them are missing.
   * @throws MigrateError FM_TARGET_KEEPS_NOTHING when none is there
   */
  async check(target: { reader(): Pick<KeyReader, 'exist' | 'close'> }): Promise<{ looked: number; missing: number }> {
    const taken = [...this.keys]
    this.forget()
    if (taken.length === 0) return { looked: 0, missing: 0 }
    let missing = 0
    const reader = target.reader()
    try {
      for (const db of new Set(taken.map((key) => key.db))) {
        const there = await reader.exist(
          db,
          taken.filter((key) => key.db === db).map(({ key }) => key),
        )
        missing += there.filter((one) => !one).length
      }
    } finally {
      await reader.close()
    }
    if (missing === taken.length)
      throw new MigrateError(
        'FM_TARGET_KEEPS_NOTHING',
        `the target said that everything was written, and none of ${taken.length} keys that were looked for is there`,
        'Look at what stands at this address: a proxy or cache may drop writes, or the server removes keys (maxmemory-policy, another client).',
      )
    return { looked: taken.length, missing }
  }
}
