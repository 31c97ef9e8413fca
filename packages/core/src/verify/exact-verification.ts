import type { Target } from '@ferrite-migrate/contracts'
import { ChangeTrack } from '../engine/changes/change-track.js'
import type { RunningShards } from '../engine/running-shards.js'
import type { Verifier } from './verifier.js'
import type { VerifyReport } from './verify-report.js'

/** Keys read at both ends at one place of the stream. */
const EXACT_KEYS = 1000
/** A stream that begins anew in between is stopped again. */
const ATTEMPTS = 50

/**
 * Verifies a live migration while it goes on. Keys that a writer never leaves alone cannot be judged by looking again: they
 * are read at both ends at one place of the stream.
 */
export async function verifyExactly(
  verifier: Verifier,
  engine: RunningShards,
  target: Target,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const track = new ChangeTrack()
  await engine.track(track)
  let report: VerifyReport
  try {
    report = await verifier.run()
  } finally {
    await engine.track(null)
  }
  const moving = report.differences.filter((one) => track.has(one.db, Buffer.from(one.keyBase64, 'base64')))
  if (moving.length === 0 || moving.length > EXACT_KEYS) return report
  const settled = report.differences.filter((one) => !moving.includes(one))
  const keys = moving.map(({ db, keyBase64 }) => ({ db, key: Buffer.from(keyBase64, 'base64') }))
  const reader = target.reader()
  try {
    for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt++) {
      const both = await engine.readBoth(keys, reader)
      if (both === null) continue
      const still = await verifier.judgeAll(keys, both.source, both.target)
      return verifier.report(report.compared, [...settled, ...still], 0)
    }
    return report
  } finally {
    await reader.close()
  }
}
