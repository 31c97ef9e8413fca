import { MigrateError } from '@ferrite-migrate/contracts'
import type { Endpoint } from '@ferrite-migrate/redis'

/** What an error reply to a write means. */
export type Refusal = 'conflict' | 'payload' | 'passing' | 'full' | 'fatal' | 'key'

/** Sorts the target's error texts by what can be done about them. */
export function classify(text: string): Refusal {
  const word = text.split(' ', 1)[0]
  if (word === 'BUSYKEY') return 'conflict'
  if (/DUMP payload version or checksum|Bad data format/.test(text)) return 'payload'
  if (['LOADING', 'BUSY', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN', 'NOREPLICAS'].includes(word)) return 'passing'
  if (word === 'OOM' || word === 'MISCONF') return 'full'
  if (['READONLY', 'NOAUTH', 'NOPERM', 'MOVED', 'ASK'].includes(word)) return 'fatal'
  return 'key'
}

/** What a node of a cluster answers for a key that it has not, or not now: nothing was done then. */
export function isRedirect(text: string): boolean {
  return /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY)\b/.test(text)
}

const FULL_RETRY_MS = 10_000

/** How long a write that was refused so may be tried again, ms. */
export function patienceMs(kind: Refusal, retryMs: number): number {
  return kind === 'passing' ? retryMs : kind === 'full' ? FULL_RETRY_MS : 0
}

/** The error for a server that answers as if it had been told nothing. */
export function notExecutedError(label: string): MigrateError {
  return new MigrateError(
    'FM_TARGET_NOT_EXECUTED',
    `${label} answered a write with nothing: it was not done`,
    'What is between here and the target (a proxy?) does not run what it is told; go on with --resume when it does.',
  )
}

/** What is said of an endpoint, and done about it, when it refuses. */
export type RefusingEndpoint = Pick<Endpoint, 'label' | 'moving'>

/** The error that ends a run after this refusal, or lets it look for the primary that there is now. */
export function refusalError({ label, moving }: RefusingEndpoint, text: string): MigrateError {
  const cut = text.slice(0, 160)
  const word = text.split(' ', 1)[0]
  switch (word) {
    case 'OOM':
      return new MigrateError(
        'FM_TARGET_FULL',
        `${label} is full: ${cut}`,
        'Raise maxmemory at the target, or migrate fewer keys.',
        { retryable: true },
      )
    case 'MISCONF':
      return new MigrateError(
        'FM_TARGET_MISCONF',
        `${label} takes no writes because it cannot save: ${cut}`,
        'Free disk space at the target, then start again.',
        { retryable: true },
      )
    case 'READONLY':
      moving?.doubt()
      if (moving !== undefined)
        return new MigrateError(
          'FM_TARGET_LOST',
          `${label} has failed over: the server that was written to is a replica now`,
          'The migration goes on from the checkpoint at the new primary, or copies again.',
          { retryable: true },
        )
      return new MigrateError(
        'FM_TARGET_READONLY',
        `${label} is a read-only replica`,
        'Name the primary as the target.',
      )
    case 'NOAUTH':
      return new MigrateError(
        'FM_AUTH_REQUIRED',
        `${label} wants a password`,
        'Put it into the URL, or give password-env or password-file.',
      )
    case 'NOPERM':
      return new MigrateError(
        'FM_AUTH_RIGHTS',
        `${label} does not allow this user what is needed: ${cut}`,
        'Give the user the rights listed in docs/permissions.md.',
      )
    case 'MOVED':
    case 'ASK':
      return new MigrateError(
        'FM_TARGET_CLUSTER',
        `${label} is a node of a cluster, and its slots do not stay where they are: ${cut}`,
        'Look at CLUSTER NODES whether a slot was left open (redis-cli --cluster check), then go on with --resume.',
        { retryable: true },
      )
  }
  return new MigrateError(
    'FM_TARGET_NOT_READY',
    `${label} did not take writes: ${cut}`,
    'Look into the log of the target.',
    { retryable: true },
  )
}
