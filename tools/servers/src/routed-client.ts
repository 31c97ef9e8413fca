import { setTimeout as sleep } from 'node:timers/promises'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import type { RedisLink } from '@ferrite-migrate/redis'
import { ControlLink } from './control-link.js'
import type { Routes } from './routes.js'

export type Command = readonly (string | Buffer)[]

/** How often a client was sent elsewhere or told to wait. */
export interface Detours {
  moved: number
  ask: number
  tryAgain: number
  /** No server for the slot, or none that takes writes. */
  down: number
}

const WAIT_MS = 20
/** Errors after which nothing was applied and the same is worth another try. */
const DOWN = /^(CLUSTERDOWN|LOADING|MASTERDOWN|READONLY|UNBLOCKED)/

/**
 * What a cluster's client does: asks the owner of the slot and goes where MOVED and ASK say. It never sends again what may have
 * been applied.
 */
export class RoutedClient {
  private readonly routes: Routes
  private readonly detours: Detours
  private readonly signal: AbortSignal
  private readonly links = new Map<string, ControlLink>()

  /**
   * @param detours counted up
   * @param signal ends what is tried again and again
   */
  constructor(routes: Routes, detours: Detours, signal: AbortSignal) {
    this.routes = routes
    this.detours = detours
    this.signal = signal
  }

  /**
   * Runs commands of one slot: one as it is, several in MULTI. Gives the reply (of EXEC), errors of the commands as values.
   * @returns undefined when nobody knows whether it was applied, or when the signal came before it was
   */
  async run(slot: number, commands: readonly Command[]): Promise<Reply | undefined> {
    let url = this.routes.urlOf(slot)
    let asking = false
    while (!this.signal.aborted) {
      const link = await this.opened(url)
      if (link === null) {
        await this.lookAgain()
        url = this.routes.urlOf(slot)
        asking = false
        continue
      }
      const replies = await link.pipeline((out) => send(out.call.bind(out), commands, asking)).catch(() => null)
      if (replies === null) return undefined
      const last = replies[replies.length - 1]
      const refusal = last instanceof ReplyError ? replies.find((reply) => reply instanceof ReplyError) : undefined
      if (refusal === undefined) return last
      const [word, , place = ''] = refusal.message.split(' ')
      asking = word === 'ASK'
      if (asking) {
        this.detours.ask++
        url = this.routes.urlAt(place)
      } else if (word === 'MOVED') {
        this.detours.moved++
        await this.lookAgain(false)
        url = this.routes.urlAt(place)
      } else if (word === 'TRYAGAIN') {
        this.detours.tryAgain++
        await sleep(WAIT_MS)
        url = this.routes.urlOf(slot)
      } else if (DOWN.test(refusal.message)) {
        await this.lookAgain()
        url = this.routes.urlOf(slot)
      } else return refusal
    }
    return undefined
  }

  close(): void {
    for (const link of this.links.values()) link.close()
  }

  private async opened(url: string): Promise<RedisLink | null> {
    let link = this.links.get(url)
    if (link === undefined) {
      link = new ControlLink(url)
      this.links.set(url, link)
    }
    return link.opened().catch(() => null)
  }

  private async lookAgain(down = true): Promise<void> {
    if (down) {
      this.detours.down++
      await sleep(WAIT_MS)
    }
    // Who cannot be asked now is asked the next time.
    await this.routes.refresh().catch(() => undefined)
  }
}

function send(call: (...argv: (string | Buffer)[]) => void, commands: readonly Command[], asking: boolean): number {
  const several = commands.length > 1
  if (asking) call('ASKING')
  if (several) call('MULTI')
  for (const command of commands) call(...command)
  if (several) call('EXEC')
  return commands.length + (asking ? 1 : 0) + (several ? 2 : 0)
}
