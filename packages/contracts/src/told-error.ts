import { type ErrorCode, MigrateError } from './error.js'

/** An error as plain JSON, as it goes from one process to another. */
export interface ToldError {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly retryable: boolean
}

/** Tells an error to another process; one that is no MigrateError is a fault of the program (FM_INTERNAL). */
export function toldError(error: unknown): ToldError {
  if (error instanceof MigrateError) {
    const { code, message, hint, retryable } = error
    return { code, message, hint, retryable }
  }
  return {
    code: 'FM_INTERNAL',
    message: error instanceof Error ? error.message : String(error),
    hint: 'This is a fault of ferrite-migrate: please report it with -v.',
    retryable: false,
  }
}

/** The error that another process told; its code is FM_INTERNAL where that is none. */
export function errorFromTold({ code, message, hint, retryable }: ToldError): MigrateError {
  return new MigrateError(isCode(code) ? code : 'FM_INTERNAL', message, hint, { retryable })
}

function isCode(code: string): code is ErrorCode {
  return code.startsWith('FM_')
}
