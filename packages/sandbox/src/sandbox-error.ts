/**
 * Why a request to a sandbox came to nothing. `batch`: the code failed as a whole and goes on with the next request;
 * `timeout`: it was stopped because it took too long; `crash`: its thread ended.
 */
export class SandboxError extends Error {
  readonly kind: 'batch' | 'timeout' | 'crash'

  constructor(kind: SandboxError['kind'], message: string) {
    super(message)
    this.name = 'SandboxError'
    this.kind = kind
  }
}
