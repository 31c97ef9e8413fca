import { redactUrl } from '@ferrite-migrate/contracts'

/** Options whose value is a secret, or an address that is one. */
const SECRET = /^--(webhook|slack)$/
const CONNECTION = /^[a-z][a-z0-9+.-]*:\/\//i
const PASSWORD = /^([\w-]*(?:password|secret|token)[\w-]*)=/i

/**
 * Shows a call in the list of processes without its secrets: where the system lets a process write over its arguments, those
 * that were typed are gone from there.
 */
export function hideSecrets(argv: readonly string[]): void {
  const shown = argv.map((word, i) => hidden(word, argv[i - 1]))
  if (shown.some((word, i) => word !== argv[i])) process.title = ['ferrite-migrate', ...shown].join(' ')
}

function hidden(word: string, former: string | undefined): string {
  if (former !== undefined && SECRET.test(former)) return '***'
  const flag = /^(--[\w-]+)=(.*)$/s.exec(word)
  if (flag !== null) return SECRET.test(flag[1]) ? `${flag[1]}=***` : `${flag[1]}=${hidden(flag[2], undefined)}`
  const password = PASSWORD.exec(word)
  if (password !== null && !/-(env|file)$/.test(password[1])) return `${password[1]}=***`
  return CONNECTION.test(word) ? redactUrl(word) : word
}
