import { parseEndpoint, RedisKeyReader } from '@ferrite-migrate/redis'
import { NO_TRANSFORM, RecordFilter, Verifier } from 'ferrite-migrate'

/** Compares two quiet servers value by value; gives the number of differences. */
export async function countDifferences(source: string, target: string, ferrite = false): Promise<number> {
  const a = new RedisKeyReader(parseEndpoint(source))
  const b = new RedisKeyReader(parseEndpoint(target), { ferrite })
  try {
    const report = await new Verifier(a, b, {
      filter: new RecordFilter({}),
      transform: NO_TRANSFORM,
      digest: { fieldExpiry: !ferrite },
      ttlToleranceMs: 1000,
      rounds: 1,
      pauseMs: 100,
      signal: new AbortController().signal,
    }).run()
    return report.mismatched + report.missingSource + report.missingTarget
  } finally {
    await a.close()
    await b.close()
  }
}
