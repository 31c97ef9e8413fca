import type { Answers } from './answers.js'
import type { ErrorData, Notices } from './results.js'

/** Everything that the tool says, in one type: the JSON Schemas of answers and notifications are made from it. */
export interface Said {
  readonly answers: Answers
  readonly notifications: Notices
  readonly errorData: ErrorData
}
