import { isUtf8 } from 'node:buffer'
import { frameTransfer, packFrame, unpackFrame } from './frame.js'
import { type ScriptAnswer, type ScriptRequest, State, TYPES } from './script-request.js'

/**
 * How keys and values cross into an engine and back: one JSON text each way. A string of bytes is text where it is UTF-8,
 * else `{"b": "<its bytes as Latin-1>"}`.
 */
type Text = string | { readonly b: string }

function textOf(bytes: Buffer): Text {
  return isUtf8(bytes) ? bytes.toString('utf8') : { b: bytes.toString('latin1') }
}

/** The request as JSON: keys as a list; values as `type, key, payload` one after the other. */
export function toJson(request: ScriptRequest): string {
  const items = unpackFrame(request.frame)
  if (request.kind === 'keys') return JSON.stringify(items.map(textOf))
  const out: unknown[] = []
  let at = 0
  for (const [i, type] of request.types.entries()) {
    const count = request.counts[i]
    const key = textOf(items[at])
    const strings = items.slice(at + 1, at + 1 + count)
    at += 1 + count
    const name = TYPES[type]
    out.push(
      name,
      key,
      name === 'string' ? textOf(strings[0]) : name === 'stream' ? entries(strings) : strings.map(textOf),
    )
  }
  return JSON.stringify(out)
}

function entries(strings: readonly Buffer[]): [string, Text[]][] {
  const list: [string, Text[]][] = []
  for (let at = 0; at < strings.length; ) {
    const count = Number(strings[at + 1].toString('latin1'))
    list.push([strings[at].toString('latin1'), strings.slice(at + 2, at + 2 + count).map(textOf)])
    at += 2 + count
  }
  return list
}

/**
 * The engine's JSON as an answer: for each question 0 (as before), null (left out), `{"e": text}` (what went wrong), or the
 * new payload as `{"v": payload}`, for text alone the text itself.
 * @throws Error when it is no such list
 */
export function fromJson(text: string, request: ScriptRequest): ScriptAnswer {
  const answers: unknown = JSON.parse(text)
  const questions = request.kind === 'keys' ? request.frame.lengths.length : request.types.length
  if (!Array.isArray(answers) || answers.length !== questions)
    throw new Error(`it must answer once for each of ${questions}`)
  const states = new Uint8Array(questions)
  const counts = new Uint32Array(questions)
  const items: Buffer[] = []
  for (const [i, answer] of answers.entries()) {
    const from = items.length
    try {
      states[i] = collect(answer, request.kind === 'keys' ? 'string' : TYPES[request.types[i]], items)
    } catch (error) {
      items.length = from
      states[i] = State.fault
      items.push(Buffer.from((error as Error).message))
    }
    counts[i] = items.length - from
  }
  return { states, counts, frame: packFrame(items) }
}

function collect(answer: unknown, type: (typeof TYPES)[number], items: Buffer[]): number {
  if (answer === 0) return State.same
  if (answer === null) return State.dropped
  if (typeof answer === 'string') {
    items.push(bytesOf(answer))
    return State.changed
  }
  const { e, v } = answer as { e?: unknown; v?: unknown }
  if (e !== undefined) throw new Error(String(e).slice(0, 500))
  if (type === 'string') {
    items.push(bytesOf(v))
    return State.changed
  }
  if (!Array.isArray(v)) throw new Error(`it must give a ${type}`)
  if (type !== 'stream') for (const item of v) items.push(bytesOf(item))
  else
    for (const [id, fields] of v as [unknown, unknown[]][]) {
      items.push(bytesOf(id), Buffer.from(String(fields.length)))
      for (const field of fields) items.push(bytesOf(field))
    }
  return v.length === 0 ? State.dropped : State.changed
}

function bytesOf(text: unknown): Buffer {
  if (typeof text === 'string') {
    // Half of a surrogate pair has no bytes; writing U+FFFD for it would be silent damage.
    if (!text.isWellFormed()) throw new Error('it gives text that is no Unicode: give bytes instead')
    return Buffer.from(text)
  }
  const { b } = (text ?? {}) as { b?: unknown }
  if (typeof b === 'string') return Buffer.from(b, 'latin1')
  throw new Error('it must give text or bytes')
}

export function answerTransfer({ states, counts, frame }: ScriptAnswer): ArrayBuffer[] {
  return [states.buffer, counts.buffer, ...frameTransfer(frame)]
}
