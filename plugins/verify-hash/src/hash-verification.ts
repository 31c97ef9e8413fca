import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey, KeyReader } from '@ferrite-migrate/contracts'
import { printableKey, type RecordFilter } from '@ferrite-migrate/core'
import { KeySample } from './key-sample.js'
import type { ServerDigest } from './server-digest.js'

export type HashAlgorithm = 'auto' | 'server' | 'murmur128'

export interface HashVerificationOptions {
  readonly source: KeyReader
  readonly target: KeyReader
  readonly filter: RecordFilter
  /** Share of keys, 0 to 1; 1 = all. */
  readonly rate: number
  readonly seed: number
  readonly algorithm: HashAlgorithm
  /** DEBUG DIGEST-VALUE of both ends; null where an end is no such server. */
  readonly servers: readonly [ServerDigest, ServerDigest] | null
  readonly rounds: number
  readonly signal: AbortSignal
}

export interface HashReport {
  readonly compared: number
  readonly matching: number
  readonly mismatched: number
  readonly missingSource: number
  readonly missingTarget: number
  readonly rate: number
  readonly seed: number
  /** How the digests were made. */
  readonly algorithm: 'server' | 'murmur128'
  /** With 95% confidence fewer than one key in so many differs; null when some differ or all were compared. */
  readonly oneIn: number | null
  readonly differences: readonly { readonly db: number; readonly key: string; readonly kind: string }[]
  /** Never true where nothing was compared. */
  readonly equal: boolean
}

const PAGE = 500
const PROOF_KEYS = 100
const REPORTED = 1000

type Digests = (
  db: number,
  keys: readonly Buffer[],
) => Promise<readonly [readonly (string | null)[], readonly (string | null)[]]>

/** Compares digests of a sample both ways; a difference counts when it is still there after some looks. */
export async function verifyHashes(options: HashVerificationOptions): Promise<HashReport> {
  const { source, target, filter, signal } = options
  const sample = new KeySample(options.rate, options.seed)
  const byClient: Digests = async (db, keys) => {
    const [a, b] = await Promise.all([source.digest(db, keys), target.digest(db, keys)])
    const text = (list: readonly (Buffer | null)[]): (string | null)[] =>
      list.map((one) => one?.toString('hex') ?? null)
    return [text(a), text(b)]
  }
  let digests = byClient
  let algorithm: HashReport['algorithm'] = 'murmur128'
  const names = new Set<string>()
  let suspects: DirtyKey[] = []
  let compared = 0
  let first = true
  const look = async (page: DirtyKey[]): Promise<void> => {
    if (page.length === 0) return
    if (first) {
      first = false
      const server = await proven(options, page.slice(0, PROOF_KEYS), byClient)
      if (server !== null) {
        digests = server
        algorithm = 'server'
      }
    }
    const [a, b] = await digests(
      page[0].db,
      page.map(({ key }) => key),
    )
    page.forEach((key, i) => {
      if (a[i] !== b[i]) suspects.push({ db: key.db, key: Buffer.from(key.key) })
    })
    compared += page.length
  }
  for (const [reader, mine] of [
    [source, true],
    [target, false],
  ] as const)
    for await (const keys of reader.keys()) {
      if (signal.aborted) break
      const chosen = keys.filter(({ db, key }) => sample.takes(db, key) && filter.takesKey(db, key))
      const fresh = chosen.filter(({ db, key }) => {
        const name = `${db}:${key.toString('latin1')}`
        if (names.has(name)) return false
        if (mine) names.add(name)
        return true
      })
      for (let from = 0; from < fresh.length; from += PAGE) await look(fresh.slice(from, from + PAGE))
    }
  const differences: { db: number; key: string; kind: string }[] = []
  for (let round = 1; round <= options.rounds && suspects.length > 0 && !signal.aborted; round++) {
    await sleep(250 * 2 ** (round - 1), undefined, { signal }).catch(() => undefined)
    const still: DirtyKey[] = []
    for (const key of suspects) {
      const [[a], [b]] = await digests(key.db, [key.key])
      if (a === b) continue
      still.push(key)
      if (round === options.rounds)
        differences.push({
          db: key.db,
          key: printableKey(key.key),
          kind: a === null ? 'missing-source' : b === null ? 'missing-target' : 'value',
        })
    }
    suspects = still
  }
  const count = (kind: string): number => differences.filter((one) => one.kind === kind).length
  const whole = options.rate >= 1
  return {
    compared,
    matching: compared - differences.length,
    mismatched: count('value'),
    missingSource: count('missing-source'),
    missingTarget: count('missing-target'),
    rate: options.rate,
    seed: options.seed,
    algorithm,
    // The rule of three: none among n leaves less than 3/n at 95%.
    oneIn: whole || differences.length > 0 || compared < 3 ? null : Math.floor(compared / 3),
    differences: differences.slice(0, REPORTED),
    equal: differences.length === 0 && compared > 0,
  }
}

/**
 * The servers' own digests, when both have them and they agree with ours on some keys about what is equal: other versions
 * digest otherwise.
 */
async function proven(
  options: HashVerificationOptions,
  keys: readonly DirtyKey[],
  byClient: Digests,
): Promise<Digests | null> {
  const { servers, algorithm } = options
  if (servers === null || algorithm === 'murmur128') return null
  const byServer: Digests = async (db, names) => {
    const [a, b] = await Promise.all([servers[0].of(db, names), servers[1].of(db, names)])
    return a === null || b === null ? byClient(db, names) : [a, b]
  }
  const { db } = keys[0]
  const names = keys.map(({ key }) => key)
  const answers = await Promise.all([servers[0].of(db, names), servers[1].of(db, names)]).catch(() => [null, null])
  const [a, b] = answers
  if (a === null || b === null) return null
  const [ours, theirs] = await byClient(db, names)
  const agree = names.every((_, i) => (a[i] === b[i]) === (ours[i] === theirs[i]))
  return agree && names.some((_, i) => a[i] !== null) ? byServer : null
}
