import { type DirtyKey, type KeyReader, MigrateError } from '@ferrite-migrate/contracts'
import { printableKey } from '../progress.js'
import { NameTable } from './name-table.js'
import type { RecordTransform } from './record-transform.js'

/** What becomes of two source keys that get one name: end the run, or let the last one written stay. */
export type CollisionPolicy = 'fail' | 'last'

/**
 * Finds source keys that get one and the same name at the target. It remembers names and originals as fingerprints, at
 * most 24 bytes a key, and only where the rules can make two names one.
 */
export class CollisionGuard {
  private table = new NameTable()
  private readonly transform: RecordTransform
  private readonly policy: CollisionPolicy
  private readonly onCollision: (text: string, name: Buffer) => void

  constructor(transform: RecordTransform, policy: CollisionPolicy, onCollision: (text: string, name: Buffer) => void) {
    this.transform = transform
    this.policy = policy
    this.onCollision = onCollision
  }

  /** Everything comes anew: names that were taken may be free by now. */
  restart(): void {
    this.table = new NameTable()
  }

  /** How many keys will come, where the source tells. */
  expect(keys: number): void {
    this.table.expect(keys)
  }

  /**
   * Takes note of keys of a snapshot and the names they get; the two lists go together.
   * @throws MigrateError FM_TRANSFORM_COLLISION under the policy `fail`
   */
  add(keys: readonly DirtyKey[], names: readonly DirtyKey[]): void {
    for (let i = 0; i < keys.length; i++) {
      if (this.table.take(names[i], keys[i])) continue
      const name = names[i].key
      this.collide(
        `two keys of the source become ${printableKey(name)}, one of them ${printableKey(keys[i].key)}`,
        name,
      )
    }
  }

  /**
   * The same for keys that change while the source is followed: a name that is taken may be free again by now, so the
   * source is asked.
   * @throws MigrateError FM_TRANSFORM_COLLISION under the policy `fail`
   */
  async addLive(
    keys: readonly DirtyKey[],
    names: readonly (DirtyKey | null)[],
    source: () => KeyReader | null,
  ): Promise<void> {
    const doubtful: { key: DirtyKey; name: DirtyKey }[] = []
    for (const [i, key] of keys.entries()) {
      const name = names[i]
      if (name !== null && !this.table.take(name, key)) doubtful.push({ key, name })
    }
    if (doubtful.length === 0) return
    const reader = source()
    if (reader === null) return
    const wanted = new Map(doubtful.map(({ name }) => [`${name.db}:${name.key.toString('latin1')}`, [] as Buffer[]]))
    try {
      for await (const page of reader.keys()) {
        const named = await this.transform.names(page)
        for (const [i, name] of named.entries()) {
          const found = name === null ? undefined : wanted.get(`${name.db}:${name.key.toString('latin1')}`)
          if (found !== undefined && !found.some((one) => one.equals(page[i].key))) found.push(Buffer.from(page[i].key))
        }
      }
    } finally {
      await reader.close()
    }
    for (const { key, name } of doubtful) {
      this.table.replace(name, key)
      const now = wanted.get(`${name.db}:${name.key.toString('latin1')}`)!
      if (now.length > 1)
        this.collide(`${now.slice(0, 3).map(printableKey).join(' and ')} become ${printableKey(name.key)}`, name.key)
    }
  }

  private collide(text: string, name: Buffer): void {
    this.onCollision(text, name)
    if (this.policy === 'fail')
      throw new MigrateError(
        'FM_TRANSFORM_COLLISION',
        text,
        'Change the rules so that names stay apart, or choose --on-collision last: the key that is written last stays.',
      )
  }
}
