import type { Logger } from '@ferrite-migrate/contracts'
import { JSONRPCErrorException, type JSONRPCErrorResponse, JSONRPCServer } from 'json-rpc-2.0'
import * as v from 'valibot'
import type { Answers } from '../protocol/answers.js'
import { METHODS, type Method, PARAMS, type Params } from '../protocol/params.js'
import type { Notices } from '../protocol/results.js'
import type { MigrationService } from '../service/migration-service.js'
import type { RunWatch } from '../service/run-watch.js'
import { faultOf, isAnswered, RpcCode } from './fault.js'
import { answer } from './gate.js'

const LOOK_MS = 200

export interface RpcSessionNeeds {
  readonly service: MigrationService
  readonly logger: Logger
  /** Carries a message to the client; null = it cannot be told anything but answers (a POST). */
  readonly send: ((message: object) => void) | null
  /** True while the client does not read what it was sent: notifications wait then, and nothing of them is lost. */
  full?(): boolean
}

type Handlers = { [M in Method]: (params: Params<M>) => Answers[M] | Promise<Answers[M]> }

/** One client: what it asks, and what it is told of the migrations that it began or attached to. */
export class RpcSession {
  private readonly needs: RpcSessionNeeds
  private readonly server: JSONRPCServer<void>
  private readonly closing = new AbortController()
  private readonly watches = new Map<string, RunWatch>()
  private timer: NodeJS.Timeout | null = null

  constructor(needs: RpcSessionNeeds) {
    this.needs = needs
    const { logger } = needs
    this.server = new JSONRPCServer<void>({
      // What has a code is answered with it; of a fault of ours the client hears nothing but that it is one.
      errorListener: (what, why) =>
        logger.log(isAnswered(why) ? 'debug' : 'error', `${what}: ${(why as Error)?.message ?? ''}`),
    })
    this.server.mapErrorToJSONRPCErrorResponse = (id, error): JSONRPCErrorResponse => faultOf(id, error)
    const handlers = this.handlers()
    for (const method of METHODS) this.serve(method, handlers[method])
  }

  /** The answer to one message; null = it wants none. Never throws. */
  async take(text: string): Promise<object | null> {
    return answer(this.server, text, undefined)
  }

  /** The client is gone: what it waits for is no longer waited for. Migrations go on. */
  close(): void {
    this.closing.abort()
    if (this.timer !== null) clearInterval(this.timer)
    this.watches.clear()
  }

  private serve<M extends Method>(method: M, handle: Handlers[M]): void {
    this.server.addMethod(method, (given: unknown) => {
      const checked = v.safeParse(PARAMS[method], given ?? {})
      if (!checked.success) {
        const text = checked.issues.map((issue) => `${v.getDotPath(issue) ?? 'params'}: ${fault(issue)}`)
        throw new JSONRPCErrorException(`Invalid params: ${text.join('; ')}`.slice(0, 1000), RpcCode.invalidParams)
      }
      return handle(checked.output as Params<M>)
    })
  }

  private handlers(): Handlers {
    const { service } = this.needs
    const { signal } = this.closing
    return {
      initialize: (params) => service.initialize(params),
      'migration.plan': (params) => service.plan(params, signal),
      'migration.start': async (params) => {
        const named = params.resume ?? params.config?.id
        // A former run of that name has told its own.
        const after = typeof named === 'string' ? service.lastEvent(named) : 0
        const started = await service.start(params, signal)
        this.watch(started.id, after)
        return started
      },
      'migration.status': ({ id }) => service.status(id),
      'migration.wait': (params) => service.wait(params, signal),
      'migration.pause': ({ id }) => service.pause(id),
      'migration.resume': ({ id }) => service.resume(id),
      'migration.cutover': (params) => service.cutover(params, (name, notice) => this.notify(name, notice), signal),
      'migration.cancel': (params) => service.cancel(params),
      'migration.verify': (params) => service.verify(params, signal),
      'migration.rollback': (params) => service.rollback(params, signal),
      'migration.analyze': (params) => service.analyze(params, signal),
      'migration.report': ({ id }) => service.report(id),
      'migration.list': () => service.list(),
      'migration.events': (params) => service.events(params),
      'migration.samples': (params) => service.samples(params),
      'migration.metrics': ({ id }) => service.metrics(id),
      'migration.attach': ({ id }) => {
        this.watch(id, service.lastEvent(id))
        return service.status(id)
      },
      'migration.detach': ({ id }) => {
        this.watches.delete(id)
        return service.detach(id)
      },
    }
  }

  private notify<N extends keyof Notices>(method: N, params: Notices[N]): void {
    this.needs.send?.({ jsonrpc: '2.0', method, params })
  }

  private watch(id: string, after: number): void {
    // One that is watched already goes on where it is.
    if (this.needs.send === null || this.closing.signal.aborted || this.watches.has(id)) return
    this.watches.set(
      id,
      this.needs.service.watch(id, (name, notice) => this.notify(name, notice), after),
    )
    this.timer ??= setInterval(() => this.look(), LOOK_MS)
  }

  private look(): void {
    if (this.needs.full?.() === true) return
    for (const [id, watch] of this.watches)
      try {
        if (!watch.look()) this.watches.delete(id)
      } catch (error) {
        // A state that is busy is looked at again a moment later.
        this.needs.logger.log('warn', `the state cannot be read: ${(error as Error).message}`)
      }
  }
}

/** What is wrong with a value, without the value: it may be a password in the wrong place. */
function fault({ type, expected, message }: v.BaseIssue<unknown>): string {
  return type === 'strict_object' && expected === 'never'
    ? 'there is no such field'
    : message.replace(/ but received .*$/s, '')
}
