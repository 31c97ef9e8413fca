import type { ControlRequest, RequestAnswer, Scheduled } from '../state/requests.js'

/**
 * How what other processes ask of a running migration gets to it, and how the answers get back: a table of the state
 * database, or whatever else carries requests between processes. A run looks several times a second, so that `take` costs next
 * to nothing when there is nothing.
 */
export interface RequestChannel {
  /** Takes the oldest request that nobody has taken; undefined = there is none. */
  take(migration: string): ControlRequest | undefined
  /** Says what came of a request, or the steps so far while it is `taken`. */
  answer(id: number, state: ControlRequest['state'], answer: RequestAnswer): void
  /** A new process does not answer what was asked of a former one. */
  forgetOpen(migration: string): void
  /** The cutover that is scheduled. */
  scheduled(migration: string): Scheduled | undefined
  /** False when nothing was scheduled. */
  cancel(migration: string): boolean
  close(): void
}
