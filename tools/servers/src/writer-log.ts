import type { Detours } from './routed-client.js'
import type { WriterOperation, WriterStep } from './writer-operations.js'

export type Outcome = 'acknowledged' | 'refused' | 'unknown'

/** How many steps came to which end. */
export type OutcomeCounts = Record<Outcome, number>

/** What may have been done once to one key. */
export interface KeyLog {
  acknowledged: number
  unknown: number
  /** Tokens put to its end; empty for counters. */
  readonly tokens: Map<string, Outcome>
}

/** What a writer did, and what the server said to it. */
export class WriterLog {
  readonly operations = new Map<WriterOperation, OutcomeCounts>()
  /** Counters and the keys that tokens were put to. */
  readonly keys = new Map<string, KeyLog>()
  readonly detours: Detours = { moved: 0, ask: 0, tryAgain: 0, down: 0 }
  /** The first refusals, as the server words them. */
  readonly refusals: string[] = []

  note(step: WriterStep, outcome: Outcome): void {
    const counts = this.operations.get(step.operation) ?? { acknowledged: 0, refused: 0, unknown: 0 }
    counts[outcome]++
    this.operations.set(step.operation, counts)
    if (outcome === 'refused') return
    if (step.counter !== undefined) this.keyLog(step.counter)[outcome]++
    for (const key of step.appends) {
      const log = this.keyLog(key)
      log[outcome]++
      log.tokens.set(step.token, outcome)
    }
  }

  /** Steps of all operations with this end. */
  count(outcome: Outcome): number {
    let sum = 0
    for (const counts of this.operations.values()) sum += counts[outcome]
    return sum
  }

  private keyLog(key: string): KeyLog {
    let log = this.keys.get(key)
    if (log === undefined) {
      log = { acknowledged: 0, unknown: 0, tokens: new Map() }
      this.keys.set(key, log)
    }
    return log
  }
}
