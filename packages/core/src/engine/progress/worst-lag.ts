import type { Lag } from '@ferrite-migrate/contracts'

/**
 * How far behind several shards are together: never less than the worst of them. What one of them does not tell is not known
 * of the whole; null = it did not answer at all.
 */
export function worstLag(lags: readonly (Lag | null)[]): Lag {
  const total = (pick: (lag: Lag) => number | undefined): number | undefined => {
    let sum = 0
    for (const lag of lags) {
      const value = lag === null ? undefined : pick(lag)
      if (value === undefined) return undefined
      sum += value
    }
    return sum
  }
  if (lags.length === 0) return {}
  const keys = total((lag) => lag.keys)
  const bytes = total((lag) => lag.bytes)
  const told = lags.every((lag) => lag?.ms !== undefined)
  const spooled = lags.reduce<number | undefined>(
    (sum, lag) => (lag?.spooledBytes === undefined ? sum : (sum ?? 0) + lag.spooledBytes),
    undefined,
  )
  const unsettled = lags.reduce((sum, lag) => sum + (lag?.unsettled ?? 0), 0)
  return {
    ...(keys === undefined ? {} : { keys }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(told ? { ms: Math.max(...lags.map((lag) => lag?.ms ?? 0)) } : {}),
    ...(spooled === undefined ? {} : { spooledBytes: spooled }),
    ...(unsettled > 0 ? { unsettled } : {}),
  }
}
