import { MigrateError } from '@ferrite-migrate/contracts'
import { clientFault } from '@ferrite-migrate/redis'
import { Redis } from 'ioredis'
import type { QueueAddress } from './queue-address.js'

/** How long the queue may owe an answer before whoever asked is told. */
const ANSWER_MS = 4000

/** What keeps the queue from answering, in words. */
export function queueAway(label: string, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause
  const text = clientFault(cause)
  const refused = /^(NOAUTH|WRONGPASS|NOPERM)/.test(text)
  return new MigrateError(
    refused ? 'FM_QUEUE_AUTH' : 'FM_QUEUE_AWAY',
    `the queue ${label} ${refused ? 'refuses' : 'does not answer'}: ${text.slice(0, 160)}`,
    refused
      ? 'Give user and password of the queue (FERRITE_MIGRATE_QUEUE_PASSWORD); docs/scale-out.md lists the commands it needs.'
      : 'Look whether its server runs and can be reached from here.',
    { retryable: !refused, cause },
  )
}

/**
 * A connection to the queue's server for single commands. While the server is away nothing waits for it: a command fails, and the next
 * one is tried anew.
 */
export function openLink(address: QueueAddress, overrides: { readonly commandTimeout?: number } = {}): Redis {
  const link = new Redis({
    ...address.options,
    commandTimeout: ANSWER_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: true,
    autoResendUnfulfilledCommands: false,
    ...overrides,
  })
  quiet(link)
  return link
}

/** A connection that waits in the server for something to come. */
export function openWaiting(address: QueueAddress): Redis {
  const link = new Redis({ ...address.options, maxRetriesPerRequest: 0, enableOfflineQueue: true })
  quiet(link)
  return link
}

/** Each command tells for itself that there is no connection. */
function quiet(link: Redis): void {
  link.on('error', () => undefined)
}

/** A first answer. @throws MigrateError FM_QUEUE_AWAY, FM_QUEUE_AUTH with what went wrong */
export async function mustAnswer(link: Redis, label: string): Promise<void> {
  let fault: unknown = null
  const keep = (error: Error): void => {
    fault ??= error
  }
  link.on('error', keep)
  try {
    await link.ping()
  } catch (error) {
    // A command that found no connection does not know why there is none.
    throw queueAway(label, fault ?? error)
  } finally {
    link.off('error', keep)
  }
}
