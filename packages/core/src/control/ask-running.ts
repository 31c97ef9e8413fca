import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { RequestAnswer, RequestKind, RequestStep } from '../state/requests.js'
import { StateStore } from '../state/state-store.js'
import { ControlQueue } from './control-queue.js'

const TAKEN_WITHIN_MS = 10_000
const LOOK_MS = 50
/** A run that is over answers nothing more; what it answered last is there by then. */
const OVER_MS = 2000

export interface AskOptions {
  /** Gets each step as it happens. */
  onStep?(step: RequestStep): void
  /** Aborted: what was not taken is withdrawn, a cutover is called off, and anything else goes on without anybody who waits. */
  readonly signal?: AbortSignal
}

/**
 * Asks a running migration for something and waits for the answer.
 * @throws MigrateError FM_NOT_RUNNING, FM_INTERRUPTED after an abort, or the error that the migration answered
 */
export async function askRunning(
  directory: string,
  id: string,
  kind: RequestKind,
  args: Readonly<Record<string, unknown>> = {},
  { onStep = () => undefined, signal }: AskOptions = {},
): Promise<RequestAnswer> {
  const store = new StateStore(directory)
  const control = new ControlQueue(directory)
  try {
    const notRunning = (): MigrateError => {
      const { state } = store.get(id).status
      return new MigrateError(
        'FM_NOT_RUNNING',
        `the migration ${id} is ${state}: no process runs it`,
        state === 'COMPLETED' || state === 'ROLLED_BACK'
          ? 'It is over; ferrite-migrate list shows those that run.'
          : `Go on with it first: ferrite-migrate migrate --resume ${id} (with --queue where a queue has it).`,
      )
    }
    if (store.get(id).status.state !== 'RUNNING') throw notRunning()
    const request = control.ask(id, kind, args)
    const askedAt = Date.now()
    let stopped = false
    let callOff: number | null = null
    let overAt: number | null = null
    let shown = 0
    for (;;) {
      await sleep(LOOK_MS)
      if (signal?.aborted && !stopped) {
        stopped = true
        if (!control.withdraw(request) && kind === 'cutover') callOff = control.ask(id, 'call-off')
      }
      const now = control.get(request)
      if (now === undefined) throw stopped ? interrupted(kind) : notRunning()
      for (const step of now.answer.steps.slice(shown)) onStep(step)
      shown = now.answer.steps.length
      if (now.state === 'done') return now.answer
      if (now.state === 'failed') {
        const { code, message, hint } = now.answer.error!
        if (stopped && code === 'FM_CUTOVER_CALLED_OFF') throw interrupted(kind)
        throw new MigrateError(code as `FM_${string}`, message, hint)
      }
      if (callOff !== null && control.get(callOff)?.answer.result?.calledOff === false) {
        callOff = null
        onStep({
          at: Date.now(),
          name: 'call-off',
          text: 'too late: the traffic is being moved, and the cutover goes on',
        })
      }
      // What was taken and is no cutover goes on without anybody who waits.
      if (stopped && kind !== 'cutover') throw interrupted(kind)
      const { state } = store.get(id).status
      const late = now.state === 'open' && Date.now() - askedAt > TAKEN_WITHIN_MS
      if (late || (state !== 'RUNNING' && now.state === 'open')) {
        control.withdraw(request)
        throw notRunning()
      }
      if (state === 'RUNNING') overAt = null
      else overAt ??= Date.now()
      if (overAt !== null && Date.now() - overAt > OVER_MS) throw notRunning()
    }
  } finally {
    control.close()
    store.close()
  }
}

function interrupted(kind: RequestKind): MigrateError {
  return new MigrateError(
    'FM_INTERRUPTED',
    kind === 'cutover'
      ? 'interrupted: the cutover is called off, and the migration goes on'
      : 'interrupted before the answer came',
    'Ask again when it suits.',
  )
}
