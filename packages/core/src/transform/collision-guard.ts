import { type DirtyKey, type KeyReader, MigrateError } from '@ferrite-migrate/contracts'
import type { RecordFilter } from '../records/key-filter.js'
import { printableKey } from '../records/printable-key.js'
import { NameTable } from './name-table.js'
import type { RecordTransform } from './record-transform.js'

/** What becomes of two source keys that get one name: end the run, or let the last one written stay. */
export type CollisionPolicy = 'fail' | 'last'

export interface CollisionGuardOptions {
  readonly transform: RecordTransform
  /** Keys that it does not take have no name at the target. */
  readonly filter: RecordFilter
  readonly policy: CollisionPolicy
  /** Reads the source; null = it can only be read once. */
  source(): KeyReader | null
  onCollision(text: string, name: Buffer): void
}

interface Claim {
  readonly key: DirtyKey
  readonly name: DirtyKey
}

/** Claims that are looked into together when a whole source is remembered. */
const CLAIMS = 10_000

/**
 * Finds source keys that get one and the same name at the target. It remembers names and originals as fingerprints, at
 * most 24 bytes a key, and only where the rules can make two names one.
 */
export class CollisionGuard {
  private table = new NameTable()
  /** Names in the table may be free by now. */
  private stale = false
  private readonly options: CollisionGuardOptions

  constructor(options: CollisionGuardOptions) {
    this.options = options
  }

  /** Everything comes anew; `alone` = nobody else's names are in the table. */
  restart(alone: boolean): void {
    if (alone) this.table = new NameTable()
    else this.stale = true
  }

  /** How many keys will come, where the source tells. */
  expect(keys: number): void {
    this.table.expect(keys)
  }

  /**
   * Takes note of keys of a snapshot and the names they get; the two lists go together.
   * @throws MigrateError FM_TRANSFORM_COLLISION under the policy `fail`
   */
  async add(keys: readonly DirtyKey[], names: readonly DirtyKey[]): Promise<void> {
    if (this.stale) return this.addLive(keys, names)
    this.table.takeAll(names, keys, (i) => {
      const name = names[i].key
      this.collide(
        `two keys of the source become ${printableKey(name)}, one of them ${printableKey(keys[i].key)}`,
        name,
      )
    })
  }

  /**
   * The same for keys that change while the source is followed: a name that is taken may be free again by now, so the
   * source is asked.
   * @throws MigrateError FM_TRANSFORM_COLLISION under the policy `fail`
   */
  async addLive(keys: readonly DirtyKey[], names: readonly (DirtyKey | null)[]): Promise<void> {
    await this.judge(this.claims(keys, names))
  }

  /**
   * Learns the names of all keys that the source holds: a process that goes on from a position has not seen them come.
   * @throws MigrateError FM_TRANSFORM_COLLISION under the policy `fail`
   */
  async remember(signal: AbortSignal): Promise<void> {
    const reader = this.options.source()
    if (reader === null) return
    let claims: Claim[] = []
    try {
      for await (const page of reader.keys()) {
        if (signal.aborted) return
        const keys = this.taken(page)
        claims = claims.concat(this.claims(keys, await this.options.transform.names(keys)))
        if (claims.length < CLAIMS) continue
        await this.judge(claims)
        claims = []
      }
      await this.judge(claims)
    } finally {
      await reader.close()
    }
  }

  private taken(keys: readonly DirtyKey[]): readonly DirtyKey[] {
    const { filter } = this.options
    return filter.open ? keys : keys.filter(({ db, key }) => filter.takesKey(db, key))
  }

  /** Keys whose name another key got before. */
  private claims(keys: readonly DirtyKey[], names: readonly (DirtyKey | null)[]): Claim[] {
    const claims: Claim[] = []
    for (const [i, key] of keys.entries()) {
      const name = names[i]
      if (name !== null && !this.table.take(name, key)) claims.push({ key, name })
    }
    return claims
  }

  /** Asks the source who has the names now. */
  private async judge(claims: readonly Claim[]): Promise<void> {
    if (claims.length === 0) return
    const { transform } = this.options
    const reader = this.options.source()
    if (reader === null) return
    const wanted = new Map(claims.map(({ name }) => [textOf(name), [] as DirtyKey[]]))
    try {
      for await (const page of reader.keys()) {
        const keys = this.taken(page)
        const named = await transform.names(keys)
        for (const [i, name] of named.entries()) {
          const found = name === null ? undefined : wanted.get(textOf(name))
          if (found === undefined) continue
          const { db, key } = keys[i]
          if (!found.some((one) => one.db === db && one.key.equals(key))) found.push({ db, key: Buffer.from(key) })
        }
      }
      for (const { key, name } of claims) {
        const owners = await this.withValue(reader, wanted.get(textOf(name))!)
        this.table.replace(name, owners.at(-1) ?? key)
        if (owners.length > 1)
          this.collide(
            `${owners
              .slice(0, 3)
              .map((one) => printableKey(one.key))
              .join(' and ')} become ${printableKey(name.key)}`,
            name.key,
          )
      }
    } finally {
      await reader.close()
    }
  }

  /** Those of the keys whose value the filter takes. */
  private async withValue(reader: KeyReader, keys: readonly DirtyKey[]): Promise<readonly DirtyKey[]> {
    const { filter } = this.options
    if (!filter.needsValue || keys.length < 2) return keys
    const taken: DirtyKey[] = []
    for (const one of keys) {
      const [record] = await reader.read(one.db, [one.key], true)
      if (record !== null && filter.takes(record)) taken.push(one)
    }
    return taken
  }

  private collide(text: string, name: Buffer): void {
    this.options.onCollision(text, name)
    if (this.options.policy === 'fail')
      throw new MigrateError(
        'FM_TRANSFORM_COLLISION',
        text,
        'Change the rules so that names stay apart, or choose --on-collision last: the key that is written last stays.',
      )
  }
}

const textOf = ({ db, key }: DirtyKey): string => `${db}:${key.toString('latin1')}`
