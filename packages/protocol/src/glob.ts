/**
 * Redis's glob on bytes: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, `\x`. Same answers as a server's KEYS and SCAN MATCH.
 * @returns whether the whole of data[start..end) matches
 */
export function globMatch(pattern: Buffer, data: Buffer, start = 0, end = data.length): boolean {
  let p = 0
  let s = start
  let starAt = -1
  let resume = 0
  for (;;) {
    if (p < pattern.length && pattern[p] === 42) {
      while (p < pattern.length && pattern[p] === 42) p++
      if (p === pattern.length) return true
      starAt = p
      resume = s
      continue
    }
    if (s >= end) return p >= pattern.length
    const next = p < pattern.length ? matchOne(pattern, p, data[s]) : -1
    if (next >= 0) {
      p = next
      s++
    } else if (starAt >= 0) {
      p = starAt
      s = ++resume
    } else return false
  }
}

/** Matches one byte against the pattern element at `p`; gives the position after the element, or -1. */
function matchOne(pattern: Buffer, p: number, byte: number): number {
  const token = pattern[p]
  if (token === 63) return p + 1
  if (token === 92 && p + 1 < pattern.length) return pattern[p + 1] === byte ? p + 2 : -1
  if (token !== 91) return token === byte ? p + 1 : -1
  let at = p + 1
  const negated = pattern[at] === 94
  if (negated) at++
  let hit = false
  for (;;) {
    if (at >= pattern.length) {
      // A class that is never closed ends with the pattern, as in Redis.
      at = pattern.length
      break
    }
    if (pattern[at] === 92 && at + 1 < pattern.length) {
      at++
      if (pattern[at] === byte) hit = true
      at++
    } else if (pattern[at] === 93) {
      at++
      break
    } else if (at + 2 < pattern.length && pattern[at + 1] === 45) {
      // Servers compare ranges as C's `char`, which is signed on x86.
      const low = Math.min(signed(pattern[at]), signed(pattern[at + 2]))
      const high = Math.max(signed(pattern[at]), signed(pattern[at + 2]))
      if (signed(byte) >= low && signed(byte) <= high) hit = true
      at += 3
    } else {
      if (pattern[at] === byte) hit = true
      at++
    }
  }
  return hit !== negated ? at : -1
}

function signed(byte: number): number {
  return (byte << 24) >> 24
}
