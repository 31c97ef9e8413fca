import { MigrateError } from '@ferrite-migrate/contracts'

const RIGHTS = 'Give sentinel-username and sentinel-password, sentinel-password-env or sentinel-password-file.'

/** What an error reply of a sentinel means. */
export function sentinelReplyError(at: string, message: string): MigrateError {
  const cut = message.slice(0, 160)
  if (
    /^(WRONGPASS|ERR invalid password|ERR AUTH <password>)/i.test(message) ||
    /without any password configured|wrong number of arguments for 'auth'/i.test(message)
  )
    return new MigrateError(
      'FM_AUTH_REFUSED',
      `the sentinel ${at} refused the user name or password`,
      'Check sentinel-username and sentinel-password (or sentinel-password-env, sentinel-password-file): those in the URL are for the servers with data.',
    )
  if (message.startsWith('NOAUTH'))
    return new MigrateError('FM_AUTH_REQUIRED', `the sentinel ${at} wants a password`, RIGHTS)
  if (message.startsWith('NOPERM'))
    return new MigrateError(
      'FM_AUTH_RIGHTS',
      `the sentinel ${at} does not allow this user what is needed: ${cut}`,
      'Give the user of the sentinels the rights listed in docs/permissions.md (sentinel-username).',
    )
  if (/^ERR unknown command/i.test(message))
    return new MigrateError(
      'FM_SENTINEL_NONE',
      `${at} is no sentinel: it does not know the command SENTINEL`,
      'Name the sentinels (port 26379 by itself), or use redis:// for a server with data.',
    )
  return new MigrateError('FM_SENTINEL_AWAY', `the sentinel ${at} answered: ${cut}`, 'Look into its log.', {
    retryable: true,
  })
}

/** No sentinel was reached. @param why of each what went wrong */
export function sentinelsAway(label: string, why: readonly string[]): MigrateError {
  return new MigrateError(
    'FM_SENTINEL_AWAY',
    `no sentinel of ${label} answers: ${why.join('; ')}`,
    'Check hosts and ports, that the sentinels run, and whether they speak TLS (sentinel-tls).',
    { retryable: true },
  )
}

/** The sentinels do not know the primary. @param known what they know */
export function unknownPrimary(label: string, name: string, known: readonly string[]): MigrateError {
  return new MigrateError(
    'FM_SENTINEL_NAME',
    `the sentinels of ${label} know no primary "${name}"`,
    known.length === 0
      ? 'They look after none; name it as in "sentinel monitor".'
      : `They know: ${known.slice(0, 20).join(', ')}.`,
  )
}

/** The sentinels disagree. @param said what each of them says */
export function sentinelsDisagree(label: string, said: readonly string[]): MigrateError {
  return new MigrateError(
    'FM_SENTINEL_DISAGREE',
    `the sentinels of ${label} do not agree on the primary: ${said.join('; ')}`,
    'Look whether all of them are of one group and reach each other; until they agree nothing is connected to.',
    { retryable: true },
  )
}

/** Somebody asks after everything was closed. */
export function groupClosed(label: string): MigrateError {
  return new MigrateError('FM_INTERRUPTED', `the sentinels of ${label} are not asked any more`, 'Start again.')
}
