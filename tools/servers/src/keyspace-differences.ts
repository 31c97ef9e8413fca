import { type KeyState, Keyspace } from './keyspace.js'
import type { End } from './routes.js'

export interface KeyDifference {
  readonly key: Buffer
  readonly what: 'missing in the first' | 'missing in the second' | 'type' | 'value' | 'expiry'
  /** What each end has, shortened, to print. */
  readonly first: string
  readonly second: string
}

export interface ComparedOptions {
  /** How far ends of keys may be apart, ms. Default 1000. */
  readonly toleranceMs?: number
  /** Keys that are not looked at, such as those of a tool itself. Names are in Latin-1. */
  readonly leaveOut?: (name: string) => boolean
}

/** Contents are shown of this many. */
const SHOWN = 20
const SHOWN_LENGTH = 120

/** Compares two quiet ends key by key, without any help of the tool that brought one to the other. */
export async function keyspaceDifferences(
  first: End,
  second: End,
  options: ComparedOptions = {},
): Promise<KeyDifference[]> {
  const { toleranceMs = 1000, leaveOut = () => false } = options
  const ends = [await Keyspace.open(first), await Keyspace.open(second)] as const
  try {
    const [a, b] = [await ends[0].read(), await ends[1].read()]
    const differences: KeyDifference[] = []
    for (const name of new Set([...a.keys(), ...b.keys()])) {
      if (leaveOut(name)) continue
      const what = difference(a.get(name), b.get(name), toleranceMs)
      if (what === null) continue
      const key = Buffer.from(name, 'latin1')
      const show = async (end: Keyspace, state: KeyState | undefined): Promise<string> =>
        differences.length < SHOWN ? shown(await end.content(key), state) : ''
      differences.push({ key, what, first: await show(ends[0], a.get(name)), second: await show(ends[1], b.get(name)) })
    }
    return differences
  } finally {
    for (const end of ends) end.close()
  }
}

function difference(
  first: KeyState | undefined,
  second: KeyState | undefined,
  toleranceMs: number,
): KeyDifference['what'] | null {
  if (first === undefined) return 'missing in the first'
  if (second === undefined) return 'missing in the second'
  if (first.type !== second.type) return 'type'
  if (first.digest !== second.digest) return 'value'
  const ends = [first.expireAt, second.expireAt]
  if (ends.includes(-1)) return first.expireAt === second.expireAt ? null : 'expiry'
  return Math.abs(first.expireAt - second.expireAt) > toleranceMs ? 'expiry' : null
}

function shown(content: readonly Buffer[], state: KeyState | undefined): string {
  if (state === undefined) return 'none'
  const words = content.map((part) => part.toString('latin1')).join(' ')
  const text = words.length > SHOWN_LENGTH ? `${words.slice(0, SHOWN_LENGTH)}…` : words
  return `${state.type} of ${content.length}${state.expireAt < 0 ? '' : ` until ${state.expireAt}`}: ${text}`
}
