import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import type { CutoverResult } from '../cutover/cutover.js'
import type { CutoverOptions } from '../cutover/cutover-options.js'
import type { ControlRequest, RequestStep } from '../state/requests.js'
import type { VerifyReport } from '../verify/verify-report.js'
import { askedText } from './asked-text.js'
import type { RequestChannel } from './request-channel.js'

/** What other processes can ask a running migration for. */
export interface Served {
  readonly id: string
  pause(): void
  resume(): void
  stop(): void
  /** False when there is none, or it is too late for that. */
  callOff(): boolean
  verify(): Promise<VerifyReport>
  cutover(options: Partial<CutoverOptions>, onStep?: (step: RequestStep) => void): Promise<CutoverResult>
}

export interface ServerHooks {
  phase(): string
  note(type: string, text: string): void
  event(type: string, text: string, actor: string): void
}

/** A cutover that was due longer ago than this is not made up for. */
const LATE_MS = 5 * 60_000

/** Does what other processes ask of a running migration, and what is due. */
export class RequestServer {
  /** When a cutover is scheduled, ms. */
  cutoverAt: number | null = null
  private readonly served: Served
  private readonly queue: RequestChannel
  private readonly logger: Logger
  private readonly hooks: ServerHooks
  private cuttingOver = false
  private closed = false

  /** @param fresh nothing that was scheduled for an earlier migration of this name counts */
  constructor(served: Served, queue: RequestChannel, fresh: boolean, logger: Logger, hooks: ServerHooks) {
    this.served = served
    this.queue = queue
    this.logger = logger
    this.hooks = hooks
    if (fresh) queue.cancel(served.id)
    queue.forgetOpen(served.id)
  }

  /** Looks for requests; call it several times a second. */
  listen(): void {
    if (this.closed) return
    const { queue, served } = this
    try {
      for (let request = queue.take(served.id); request !== undefined; request = queue.take(served.id))
        this.serve(request)
      this.due()
    } catch (error) {
      // A busy state database must not stop the data; the next look is a moment away.
      this.logger.log('warn', `requests cannot be read: ${(error as Error).message}`)
    }
  }

  close(): void {
    this.closed = true
    this.queue.close()
  }

  private due(): void {
    const { queue, served, hooks } = this
    const due = queue.scheduled(served.id)
    this.cutoverAt = due?.at ?? null
    if (due === undefined || due.at > Date.now() || this.cuttingOver) return
    if (Date.now() - due.at > LATE_MS) {
      queue.cancel(served.id)
      hooks.note('cutover-missed', `the cutover of ${new Date(due.at).toISOString()} was missed: schedule it again`)
    } else if (hooks.phase() === 'LIVE_SYNC') {
      let args: Readonly<Record<string, unknown>>
      try {
        args = due.args()
      } catch (error) {
        queue.cancel(served.id)
        hooks.note(
          'cutover-missed',
          `the cutover that was scheduled cannot be read: ${(error as Error).message}; schedule it again`,
        )
        return
      }
      queue.cancel(served.id)
      hooks.note('cutover-due', `the cutover scheduled by ${due.actor} starts`)
      this.cuttingOver = true
      void served
        .cutover(args as Partial<CutoverOptions>)
        .catch(() => undefined)
        .finally(() => {
          this.cuttingOver = false
        })
    }
  }

  private serve(request: ControlRequest): void {
    const { served } = this
    this.hooks.event(`asked-${request.kind}`, askedText(request.kind, request.args), request.actor)
    if (request.kind === 'cutover' || request.kind === 'verify') {
      void this.work(request)
      return
    }
    if (request.kind === 'call-off') {
      this.queue.answer(request.id, 'done', { steps: [], result: { calledOff: served.callOff() } })
      return
    }
    try {
      if (request.kind === 'pause') served.pause()
      else if (request.kind === 'resume') served.resume()
      else served.stop()
    } catch (error) {
      this.queue.answer(request.id, 'failed', { steps: [], error: told(error) })
      return
    }
    this.queue.answer(request.id, 'done', { steps: [] })
  }

  /** Requests that take their time. */
  private async work(request: ControlRequest): Promise<void> {
    const steps: RequestStep[] = []
    const answer: RequestChannel['answer'] = (id, state, text) => {
      if (this.closed) return
      try {
        this.queue.answer(id, state, text)
      } catch (error) {
        // Who asked sees it late or not at all; what was asked for goes on.
        this.logger.log('warn', `an answer could not be written: ${(error as Error).message}`)
      }
    }
    try {
      const result =
        request.kind === 'verify'
          ? await this.served.verify()
          : await this.served.cutover(request.args as Partial<CutoverOptions>, (step) => {
              steps.push(step)
              answer(request.id, 'taken', { steps })
            })
      answer(request.id, 'done', { steps, result: { ...result } })
    } catch (error) {
      answer(request.id, 'failed', { steps, error: told(error) })
    }
  }
}

/** An error as another process reads it. */
function told(error: unknown): { code: string; message: string; hint: string } {
  const { code, message, hint } =
    error instanceof MigrateError
      ? error
      : { code: 'FM_INTERNAL', message: (error as Error).message, hint: 'Please report this.' }
  return { code, message, hint }
}
