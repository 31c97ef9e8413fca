import type { ChangeRecord, ChangesEvent, DirtyEvent, SourceEvent } from '@ferrite-migrate/contracts'
import { ensure } from './harness.js'
import type { Reading } from './reading.js'
import { keyOf, type SourceSubject } from './source-subject.js'

/** A change that was made, and the event that brought it. */
export interface ChangeStep {
  readonly key: string
  readonly value: string
  readonly event: ChangesEvent | DirtyEvent
}

/** Whether a key is among the arguments of a command. */
export function names({ argv }: ChangeRecord, key: string): boolean {
  const wanted = Buffer.from(key)
  return argv.slice(1).some((argument) => argument.equals(wanted))
}

/** How often an event speaks of a key. */
export function mentions(event: SourceEvent, key: string): number {
  if (event.kind === 'dirty') return event.keys.some((one) => one.key.equals(Buffer.from(key))) ? 1 : 0
  return event.kind === 'changes' ? event.records.filter((record) => names(record, key)).length : 0
}

/** The keys and values that are changed: those that the source holds already, or ones that the kit makes up. */
export function plannedChanges(subject: SourceSubject, count: number): (readonly [key: string, value: string])[] {
  const made = (i: number) => [keyOf(subject, `kit:${i}`), `value ${i}`] as const
  return subject.recorded?.slice(0, count) ?? Array.from({ length: count }, (_, i) => made(i))
}

/** Makes one change, or awaits one that the source holds already; resolves once the reading has seen it. */
export async function changeStep(
  { change }: SourceSubject,
  reading: Reading,
  [key, value]: readonly [key: string, value: string],
): Promise<ChangeStep> {
  const before = reading.events.find((event) => mentions(event, key) > 0)
  if (before === undefined) await change?.(key, value)
  const event = before ?? (await reading.until((one) => mentions(one, key) > 0, `a change of ${key}`))
  ensure(event.kind === 'changes' || event.kind === 'dirty', 'a change is no change')
  return { key, value, event }
}

/** Reads to the end of the snapshot, and makes changes one after the other. */
export async function changeSteps(subject: SourceSubject, reading: Reading, count: number): Promise<ChangeStep[]> {
  await reading.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot')
  const steps: ChangeStep[] = []
  for (const planned of plannedChanges(subject, count)) steps.push(await changeStep(subject, reading, planned))
  return steps
}
