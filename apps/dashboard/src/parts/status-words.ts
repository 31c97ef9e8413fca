import type { ApiStatus } from '@ferrite-migrate/api'
import { formatBytes, formatCount, formatDuration, phaseWords } from '@ferrite-migrate/core/page'

/** How far behind, in one line. */
export function lagText({ lag, lagBytes, lagMs }: ApiStatus): string {
  const parts = [
    ...(lag === null ? [] : [`${formatCount(lag)} ${lag === 1 ? 'change' : 'changes'}`]),
    ...(lagBytes === null ? [] : [formatBytes(lagBytes)]),
    ...(lagMs === null ? [] : [formatDuration(lagMs)]),
  ]
  return parts.length === 0 ? 'not told' : parts.join(', ')
}

/** `good`, `bad` and `warn` are colours of the style; the word says the same. */
export function stateOf({ state, phase, paused, diverging }: ApiStatus): { kind: string; word: string } {
  if (state === 'RUNNING')
    return paused
      ? { kind: 'warn', word: 'paused' }
      : diverging
        ? { kind: 'warn', word: `${phaseWords(phase)}, and falling behind` }
        : { kind: 'busy', word: phaseWords(phase) }
  const kind = state === 'COMPLETED' ? 'good' : state === 'FAILED' ? 'bad' : 'warn'
  return { kind, word: state.toLowerCase().replace('_', ' ') }
}

/** What a person types to say that they mean this target: its address without user and scheme. */
export function hostOf(target: string): string {
  const rest = target.replace(/^[^:]+:\/\//, '').replace(/^[^@/]*@/, '')
  // A Unix socket has a path and no host.
  return rest.replace(/[/?].*$/, '') || rest || target
}

export function rateText({ rate }: ApiStatus): string {
  return `${formatCount(rate)}/s`
}
