import type { StateCopy, WaitingRequest } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { RunKeys } from '../connection/run-keys.js'
import { type Place, sharesDirectory } from './place.js'

/** How long an answer is kept for whoever asked, seconds. */
const ANSWERS_S = 86_400

/** A request on its way. */
interface Carried extends Omit<WaitingRequest, 'id'> {
  /** No two are called the same. */
  readonly name: string
}

/** Carries requests from the directory where they were asked to whoever holds the migration, and the answers back. */
export class CarriedRequests {
  private readonly link: Redis
  private readonly prefix: string
  private readonly copy: StateCopy
  private readonly place: Place
  /** Asked here: number of the request here by its name. */
  private readonly asked = new Map<string, { readonly id: number; readonly text: string; readonly migration: string }>()
  /** Taken here, from elsewhere. */
  private readonly taken = new Map<string, { readonly id: number; readonly migration: string; told: string }>()

  constructor(link: Redis, prefix: string, copy: StateCopy, place: Place) {
    this.link = link
    this.prefix = prefix
    this.copy = copy
    this.place = place
  }

  /** Sends what was asked here for migrations that others hold, and brings their answers. */
  async carry(isHeldHere: (migration: string) => boolean): Promise<void> {
    const known = new Set([...this.asked.values()].map(({ id }) => id))
    for (const { id, ...request } of this.copy.openRequests()) {
      if (known.has(id) || isHeldHere(request.migration)) continue
      const keys = new RunKeys(this.prefix, request.migration)
      const held = await this.link.get(keys.hold)
      if (held === null || sharesDirectory(JSON.parse(held) as Place, this.place)) continue
      if (this.refuse(id, request, JSON.parse(held) as Place)) continue
      const name = `${this.place.uid} ${id}`
      const text = JSON.stringify({ name, ...request } satisfies Carried)
      this.asked.set(name, { id, text, migration: request.migration })
      await this.link.rpush(keys.asked, text)
    }
    for (const [name, { id, text, migration }] of this.asked) {
      const keys = new RunKeys(this.prefix, migration)
      const here = this.copy.answer(id)
      if (here === undefined) {
        // Whoever asked waits no more.
        await this.link.lrem(keys.asked, 0, text)
        this.asked.delete(name)
        continue
      }
      const answer = await this.link.hget(keys.answers, name)
      if (answer === null) continue
      const { state, answer: said } = JSON.parse(answer) as { state: string; answer: string }
      this.copy.putAnswer(id, state, said)
      if (state !== 'done' && state !== 'failed') continue
      this.asked.delete(name)
      await this.link.hdel(keys.answers, name)
    }
  }

  /** What runs a command, or names a secret, is done where it was typed, and nowhere else. */
  private refuse(id: number, { args }: Omit<WaitingRequest, 'id'>, holder: Place): boolean {
    if ((JSON.parse(args) as { file?: unknown }).file === undefined) return false
    const error = {
      code: 'FM_QUEUE_HOOK',
      message: `the migration is followed by process ${holder.pid} on ${holder.name}, and a hook or webhook does not leave the machine where it was given`,
      hint: `Give the command on ${holder.name}.`,
    }
    this.copy.putAnswer(id, 'failed', JSON.stringify({ steps: [], error }))
    return true
  }

  /** Puts what others ask into the directory, where the run finds it. */
  async take(migration: string): Promise<void> {
    const keys = new RunKeys(this.prefix, migration)
    for (let text = await this.link.lpop(keys.asked); text !== null; text = await this.link.lpop(keys.asked)) {
      const { name, ...request } = JSON.parse(text) as Carried
      this.taken.set(name, { id: this.copy.putRequest(request), migration, told: '' })
    }
  }

  /** Tells others what the run has answered. */
  async answer(migration: string): Promise<void> {
    const keys = new RunKeys(this.prefix, migration)
    for (const [name, one] of this.taken) {
      if (one.migration !== migration) continue
      const answer = this.copy.answer(one.id)
      if (answer === undefined) {
        this.taken.delete(name)
        continue
      }
      const text = JSON.stringify(answer)
      if (answer.state === 'open' || text === one.told) continue
      one.told = text
      await this.link.hset(keys.answers, name, text)
      await this.link.expire(keys.answers, ANSWERS_S)
      if (answer.state === 'done' || answer.state === 'failed') this.taken.delete(name)
    }
  }
}
