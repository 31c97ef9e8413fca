import type { ApiStatus } from '@ferrite-migrate/api'
import { stateOf } from './status-words.js'

export function Badge({ status }: { status: ApiStatus }) {
  const { kind, word } = stateOf(status)
  return <span class={`tag ${kind}`}>{word}</span>
}
