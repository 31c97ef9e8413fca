import type { RequestKind } from '../state/requests.js'

const ASKED: Record<RequestKind, string> = {
  pause: 'asked to pause',
  resume: 'asked to go on',
  stop: 'asked to stop',
  verify: 'asked for a verification',
  cutover: 'asked for a cutover',
  'call-off': 'asked to call the cutover off',
}

/** How an argument of a cutover reads; a hook's command line and a webhook's address may carry a secret. */
const WORDS: Readonly<Record<string, (value: unknown) => string>> = {
  dryRun: () => 'dry run',
  verify: (value) => (value ? 'comparing everything' : 'comparing only what changes'),
  strict: () => 'foreign keys count',
  fence: (value) => (value === 'none' ? 'no fence' : `fence ${String(value)}`),
  maxLag: (value) => `at most ${Number(value).toLocaleString('en-US')} keys behind`,
  timeoutMs: (value) => `each wait up to ${Number(value) / 1000} s`,
  holdMs: (value) => `held for ${Number(value) / 1000} s`,
  afterCutover: (value) => (value === 'keep-fence' ? 'the fence stays' : 'the fence comes down'),
  hook: () => 'with a hook',
  hookTimeoutMs: (value) => `the hook up to ${Number(value) / 1000} s`,
  webhook: () => 'with a webhook',
}

/** What somebody asked a running migration for, in words for the audit trail. */
export function askedText(kind: RequestKind, args: Readonly<Record<string, unknown>>): string {
  const details = Object.entries(args).flatMap(([name, value]) => WORDS[name]?.(value) ?? [])
  return details.length === 0 ? ASKED[kind] : `${ASKED[kind]} (${details.join('; ')})`
}
