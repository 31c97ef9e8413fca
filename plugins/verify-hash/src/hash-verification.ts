import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey } from '@ferrite-migrate/contracts'
import { printableKey, type RecordFilter } from '@ferrite-migrate/core'
import { type EndDigestOptions, EndDigests } from './end-digests.js'
import { KeySample } from './key-sample.js'

export interface HashVerificationOptions extends EndDigestOptions {
  readonly filter: RecordFilter
  /** Share of keys, 0 to 1; 1 = all. */
  readonly rate: number
  readonly seed: number
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
const REPORTED = 1000

/** Compares digests of a sample both ways; a difference counts when it is still there after some looks. */
export async function verifyHashes(options: HashVerificationOptions): Promise<HashReport> {
  const digests = new EndDigests(options)
  const { compared, suspects } = await findSuspects(options, digests)
  const differences = await lookAgain(options, digests, suspects)
  const count = (kind: Difference['kind']): number => differences.filter((one) => one.kind === kind).length
  const whole = options.rate >= 1
  return {
    compared,
    matching: compared - differences.length,
    mismatched: count('value'),
    missingSource: count('missing-source'),
    missingTarget: count('missing-target'),
    rate: options.rate,
    seed: options.seed,
    algorithm: digests.algorithm,
    // The rule of three: none among n leaves less than 3/n at 95%.
    oneIn: whole || differences.length > 0 || compared < 3 ? null : Math.floor(compared / 3),
    differences: differences.slice(0, REPORTED),
    equal: differences.length === 0 && compared > 0,
  }
}

interface Difference {
  readonly db: number
  readonly key: string
  readonly kind: 'missing-source' | 'missing-target' | 'value'
}

/** Keys of the sample whose digests differ, of both ends: each key is compared once. */
async function findSuspects(
  options: HashVerificationOptions,
  digests: EndDigests,
): Promise<{ readonly compared: number; readonly suspects: readonly DirtyKey[] }> {
  const { source, target, filter, signal } = options
  const sample = new KeySample(options.rate, options.seed)
  const names = new Set<string>()
  const suspects: DirtyKey[] = []
  let compared = 0
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
      for (let from = 0; from < fresh.length; from += PAGE) {
        const page = fresh.slice(from, from + PAGE)
        const [a, b] = await digests.ofPage(page)
        page.forEach((key, i) => {
          if (a[i] !== b[i]) suspects.push({ db: key.db, key: Buffer.from(key.key) })
        })
        compared += page.length
      }
    }
  return { compared, suspects }
}

/** Writers explain a difference for a while: what is left of them after the last look. */
async function lookAgain(
  { rounds, signal }: HashVerificationOptions,
  digests: EndDigests,
  found: readonly DirtyKey[],
): Promise<Difference[]> {
  const differences: Difference[] = []
  let suspects = found
  for (let round = 1; round <= rounds && suspects.length > 0 && !signal.aborted; round++) {
    await sleep(250 * 2 ** (round - 1), undefined, { signal }).catch(() => undefined)
    const still: DirtyKey[] = []
    for (const key of suspects) {
      const [[a], [b]] = await digests.of(key.db, [key.key])
      if (a === b) continue
      still.push(key)
      if (round === rounds)
        differences.push({
          db: key.db,
          key: printableKey(key.key),
          kind: a === null ? 'missing-source' : b === null ? 'missing-target' : 'value',
        })
    }
    suspects = still
  }
  return differences
}
