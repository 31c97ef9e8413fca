/** A test that was not run, or ended itself before it looked at anything. */
export interface Skip {
  readonly name: string
  /** With the names of what it is in. */
  readonly fullName: string
  /** What it said when it skipped itself. */
  readonly note: string | undefined
}

/** A rule of the conformance kit by its number: the kit skips those that an adapter does not claim to keep. */
const RULE = /^[A-Z]\d+ /
const RULES = 'rule does not apply'
/** Tests that are skipped with everything beside them say why in their title. */
const TITLED = /\(skipped: (.+?)\)(?: > |$)/

/**
 * Why a test was skipped.
 * @param chosen only tests of some names were asked for
 */
function reasonOf({ name, fullName, note }: Skip, chosen: boolean): string {
  if (note !== undefined) return RULE.test(name) ? RULES : note
  return TITLED.exec(fullName)?.[1] ?? (chosen ? 'not asked for' : 'no reason given')
}

/**
 * All skips in one line, by their reasons and the most frequent first; before it a line for each test that ought to run where
 * everything is there.
 */
export function skipSummary(skips: readonly Skip[], chosen: boolean): string[] {
  const counts = new Map<string, number>()
  const lines: string[] = []
  for (const skip of skips) {
    const reason = reasonOf(skip, chosen)
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
    if (reason !== RULES && !chosen) lines.push(`skipped: ${skip.fullName}: ${reason}`)
  }
  const reasons = [...counts].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} ${reason}`)
  return [...lines, `${skips.length} skipped${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`]
}
