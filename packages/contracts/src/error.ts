import { printable } from './printable.js'
import { withoutSecrets } from './secrets.js'

/** A code that never changes its meaning once released; each is documented in docs/errors.md. */
export type ErrorCode = `FM_${string}`

export interface MigrateErrorOptions {
  /** True when trying again later may succeed (a lost link, a server that is loading). */
  readonly retryable?: boolean
  readonly cause?: unknown
}

const MOST = 4000

/** What a server or a file said is in many messages: no control character and no secret gets further than here. */
function fit(text: string): string {
  return printable(withoutSecrets(text.length > MOST ? `${text.slice(0, MOST)}…` : text))
}

/**
 * The one error type of the product. `message` says what happened, `hint` what to do about it.
 * Neither may carry a password, a token or a whole value.
 */
export class MigrateError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, hint: string, options: MigrateErrorOptions = {}) {
    super(fit(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MigrateError'
    this.code = code
    this.hint = fit(hint)
    this.retryable = options.retryable ?? false
  }

  /** Another copy of this package (an adapter's own) makes errors that count as well. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return (
      value instanceof Error &&
      typeof (value as { code?: unknown }).code === 'string' &&
      (value as { code?: string }).code!.startsWith('FM_')
    )
  }
}
