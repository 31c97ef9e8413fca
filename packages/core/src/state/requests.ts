export type RequestKind = 'pause' | 'resume' | 'stop' | 'cutover' | 'call-off' | 'verify'

/** One step that a request takes, shown to who asked as it happens. */
export interface RequestStep {
  readonly at: number
  readonly name: string
  readonly text: string
}

export interface RequestAnswer {
  readonly steps: readonly RequestStep[]
  /** What came of it, once it is over. */
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string }
}

export interface ControlRequest {
  readonly id: number
  readonly migration: string
  readonly kind: RequestKind
  readonly args: Readonly<Record<string, unknown>>
  readonly actor: string
  readonly state: 'open' | 'taken' | 'done' | 'failed'
  readonly answer: RequestAnswer
}

export interface Scheduled {
  readonly at: number
  /** With what is kept in a file of its own. */
  args(): Readonly<Record<string, unknown>>
  readonly actor: string
}
