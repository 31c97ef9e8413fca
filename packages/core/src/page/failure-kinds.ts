/** Failures that say the same of different keys. */
export interface FailureKind {
  /** As the first of them has it. */
  readonly reason: string
  readonly keys: readonly string[]
}

/**
 * Failures by what happened, the most frequent first: numbers and quoted names say which key it was. Metrics have fewer kinds: their
 * labels must not grow without bound.
 */
export function failureKinds(failures: readonly { readonly key: string; readonly reason: string }[]): FailureKind[] {
  const kinds = new Map<string, { reason: string; keys: string[] }>()
  for (const { key, reason } of failures) {
    const name = reason.replace(/(["'`]).*?\1/g, '…').replace(/\d+/g, '…')
    const kind = kinds.get(name)
    if (kind === undefined) kinds.set(name, { reason, keys: [key] })
    else kind.keys.push(key)
  }
  return [...kinds.values()].sort((a, b) => b.keys.length - a.keys.length)
}
