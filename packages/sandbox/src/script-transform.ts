import {
  type DecodedRecord,
  type DecodedValue,
  type DirtyKey,
  type ItemsValue,
  MigrateError,
  type StreamEntry,
  type StreamValue,
  type Transform,
} from '@ferrite-migrate/contracts'
import { packFrame, unpackFrame } from './frame.js'
import { oneByOne } from './one-by-one.js'
import { SandboxError } from './sandbox-error.js'
import { type ScriptAnswer, type ScriptFacts, type ScriptRequest, State, TYPES } from './script-request.js'
import type { WorkerPool } from './worker-pool.js'

/** A script in a pool of sandboxes. */
export class ScriptTransform implements Transform {
  keys?: NonNullable<Transform['keys']>
  values?: NonNullable<Transform['values']>
  private readonly pool: WorkerPool
  private readonly firstFaultEnds: boolean

  constructor(pool: WorkerPool, facts: ScriptFacts, firstFaultEnds: boolean) {
    this.pool = pool
    this.firstFaultEnds = firstFaultEnds
    if (facts.keys) this.keys = (keys) => this.askKeys(keys)
    if (facts.values) this.values = (records) => this.askValues(records)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.close()
  }

  private async askKeys(keys: readonly DirtyKey[]): Promise<(Buffer | null | Error)[]> {
    return this.ask<DirtyKey, Buffer>(
      keys,
      (part) => ({ kind: 'keys', frame: packFrame(part.map(({ key }) => key)) }),
      ({ key }, strings) => (strings === null ? key : strings[0]),
    )
  }

  private async askValues(records: readonly DecodedRecord[]): Promise<(DecodedValue | null | Error)[]> {
    return this.ask<DecodedRecord, DecodedValue>(records, valuesRequest, ({ value }, strings) =>
      strings === null ? value : rebuilt(value, strings),
    )
  }

  /** One request; when the script fails as a whole, one for each question, so that only the guilty ones fail. */
  private async ask<Question, Answer>(
    questions: readonly Question[],
    toRequest: (part: readonly Question[]) => ScriptRequest,
    toAnswer: (question: Question, strings: Buffer[] | null) => Answer,
  ): Promise<(Answer | null | Error)[]> {
    const request = toRequest(questions)
    let answer: ScriptAnswer
    try {
      answer = (await this.pool.run(request)) as ScriptAnswer
    } catch (error) {
      if (error instanceof MigrateError) throw error
      if (!(error instanceof SandboxError))
        throw new MigrateError(
          'FM_TRANSFORM_FAILED',
          `the sandbox of the script failed: ${(error as Error).message}`,
          'Start it again with -v.',
          { cause: error },
        )
      if (questions.length === 1) return [new Error(error.message)]
      return oneByOne(
        questions,
        async (question) => (await this.ask([question], toRequest, toAnswer))[0],
        this.firstFaultEnds,
      )
    }
    const strings = unpackFrame(answer.frame)
    let at = 0
    return questions.map((question, i) => {
      const count = answer.counts[i]
      const own = strings.slice(at, at + count)
      at += count
      switch (answer.states[i]) {
        case State.same:
          return toAnswer(question, null)
        case State.dropped:
          return null
        case State.fault:
          return new Error(own[0].toString('utf8'))
        default:
          try {
            return toAnswer(question, own)
          } catch (error) {
            return error as Error
          }
      }
    })
  }
}

function valuesRequest(records: readonly DecodedRecord[]): ScriptRequest {
  const types = new Uint8Array(records.length)
  const counts = new Uint32Array(records.length)
  const items: Buffer[] = []
  for (const [i, { key, value }] of records.entries()) {
    types[i] = TYPES.indexOf(value.type)
    items.push(key)
    const from = items.length
    if (value.form === 'items') for (const item of value.items) items.push(item)
    else
      for (const { id, fields } of value.entries)
        items.push(Buffer.from(id), Buffer.from(String(fields.length)), ...fields)
    counts[i] = items.length - from
  }
  return { kind: 'values', types, counts, frame: packFrame(items) }
}

/** The value with other strings. @throws Error when it would be none */
function rebuilt(value: DecodedValue, strings: readonly Buffer[]): DecodedValue {
  if (value.form === 'stream') return streamOf(value, strings)
  const { type } = value
  if (type === 'set' || type === 'hash' || type === 'zset') {
    const step = type === 'set' ? 1 : 2
    const names = new Set<string>()
    for (let at = 0; at < strings.length; at += step) names.add(strings[at].toString('latin1'))
    if (names.size * step !== strings.length) throw new Error(`it gives a ${type} in which a name comes twice`)
  }
  if (same(value.items, strings)) return value
  const plain: ItemsValue = { form: 'items', type, items: strings }
  return value.fieldExpireAt === undefined ? plain : { ...plain, fieldExpireAt: fieldEnds(value, strings) }
}

function same(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((item, i) => item.equals(b[i]))
}

/** Fields keep their ends by name; new ones have none. */
function fieldEnds(value: ItemsValue, strings: readonly Buffer[]): number[] {
  const ends = new Map<string, number>()
  for (const [i, end] of (value.fieldExpireAt ?? []).entries()) ends.set(value.items[2 * i].toString('latin1'), end)
  const out: number[] = []
  for (let at = 0; at < strings.length; at += 2) out.push(ends.get(strings[at].toString('latin1')) ?? 0)
  return out
}

/** Entries may be changed or left out; what groups and counters stand on stays. */
function streamOf(value: StreamValue, strings: readonly Buffer[]): StreamValue {
  const entries: StreamEntry[] = []
  let place = 0
  for (let at = 0; at < strings.length; ) {
    const id = strings[at].toString('latin1')
    const count = Number(strings[at + 1].toString('latin1'))
    while (place < value.entries.length && value.entries[place].id !== id) place++
    if (place === value.entries.length)
      throw new Error(`it gives a stream entry ${id.slice(0, 40)} that was not there, or in another order`)
    if (count === 0 || count % 2 === 1) throw new Error(`the stream entry ${id} has no pairs of fields and values`)
    entries.push({ id, fields: strings.slice(at + 2, at + 2 + count) })
    at += 2 + count
  }
  const unchanged =
    entries.length === value.entries.length && entries.every(({ fields }, i) => same(value.entries[i].fields, fields))
  return unchanged ? value : { ...value, entries }
}
