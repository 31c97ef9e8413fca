/** A code that never changes its meaning once released; each is documented in docs/errors.md. */
export type ErrorCode = `FM_${string}`

export interface MigrateErrorOptions {
  /** True when trying again later may succeed (a lost link, a server that is loading). */
  readonly retryable?: boolean
  readonly cause?: unknown
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
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MigrateError'
    this.code = code
    this.hint = hint
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
