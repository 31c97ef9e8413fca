/** What ends a process from outside: Ctrl-C, an operator, a terminal that went away, Ctrl-\\. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/**
 * Calls back when the process is to end: `first` asks for a graceful end, `again` (a second signal) for one at once. Gives a
 * function that takes the handlers away.
 */
export function onSignals(first: () => void, again: () => void): () => void {
  let asked = false
  const handle = (): void => {
    if (asked) again()
    else first()
    asked = true
  }
  for (const signal of SIGNALS) process.on(signal, handle)
  return () => {
    for (const signal of SIGNALS) process.off(signal, handle)
  }
}
