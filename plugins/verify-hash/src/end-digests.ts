import type { DirtyKey, KeyReader } from '@ferrite-migrate/contracts'
import { digestRecord } from '@ferrite-migrate/redis'
import type { ServerDigest } from './server-digest.js'

export type HashAlgorithm = 'auto' | 'server' | 'murmur128'

/** Digests of the same keys at the source and at the target; null for a key that is not there. */
export type DigestPair = readonly [readonly (string | null)[], readonly (string | null)[]]

export interface EndDigestOptions {
  readonly source: KeyReader
  readonly target: KeyReader
  readonly algorithm: HashAlgorithm
  /** DEBUG DIGEST-VALUE of both ends; null where an end is no such server. */
  readonly servers: readonly [ServerDigest, ServerDigest] | null
}

const PROOF_KEYS = 100

/**
 * Digests of keys at both ends. They are the servers' own when both have them and they agree with ours on the first keys
 * about what is equal: other versions digest otherwise.
 */
export class EndDigests {
  private readonly options: EndDigestOptions
  /** The servers, once they have proved that they digest alike. */
  private servers: readonly [ServerDigest, ServerDigest] | null = null
  private asked = false

  constructor(options: EndDigestOptions) {
    this.options = options
  }

  /** How the digests are made. */
  get algorithm(): 'server' | 'murmur128' {
    return this.servers === null ? 'murmur128' : 'server'
  }

  /** Of keys of one database, which are not none. */
  async ofPage(page: readonly DirtyKey[]): Promise<DigestPair> {
    const { db } = page[0]
    const keys = page.map(({ key }) => key)
    if (!this.asked) {
      this.asked = true
      this.servers = await this.proven(db, keys.slice(0, PROOF_KEYS))
    }
    return this.of(db, keys)
  }

  async of(db: number, keys: readonly Buffer[]): Promise<DigestPair> {
    const told = this.servers && (await askServers(this.servers, db, keys))
    return told ?? this.byClient(db, keys)
  }

  private async byClient(db: number, keys: readonly Buffer[]): Promise<DigestPair> {
    const { source, target } = this.options
    const [a, b] = await Promise.all([digestsOf(source, db, keys), digestsOf(target, db, keys)])
    return [hex(a), hex(b)]
  }

  private async proven(db: number, keys: readonly Buffer[]): Promise<readonly [ServerDigest, ServerDigest] | null> {
    const { servers, algorithm } = this.options
    if (servers === null || algorithm === 'murmur128') return null
    const told = await askServers(servers, db, keys).catch(() => null)
    if (told === null) return null
    const [a, b] = told
    const [ours, theirs] = await this.byClient(db, keys)
    const agree = keys.every((_, i) => (a[i] === b[i]) === (ours[i] === theirs[i]))
    return agree && keys.some((_, i) => a[i] !== null) ? servers : null
  }
}

/** A reader's own, or made of what it reads. */
async function digestsOf(reader: KeyReader, db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]> {
  if (reader.digest !== undefined) return reader.digest(db, keys)
  const records = await reader.read(db, keys, true)
  return records.map((record) => (record === null ? null : digestRecord(record)))
}

/** Null when one of them does not tell. */
async function askServers(
  [source, target]: readonly [ServerDigest, ServerDigest],
  db: number,
  keys: readonly Buffer[],
): Promise<DigestPair | null> {
  const [a, b] = await Promise.all([source.of(db, keys), target.of(db, keys)])
  return a === null || b === null ? null : [a, b]
}

function hex(digests: readonly (Buffer | null)[]): (string | null)[] {
  return digests.map((one) => one?.toString('hex') ?? null)
}
