import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import { printAddress } from '../address/host-port.js'
import type { MovingServer } from '../address/moving-server.js'
import type { NodeMap } from '../address/node-map.js'
import { Sentinel, type SentinelAnswer } from './sentinel.js'
import type { SentinelAccess } from './sentinel-connection.js'
import { groupClosed, sentinelsAway, sentinelsDisagree, unknownPrimary } from './sentinel-error.js'

export interface SentinelGroupOptions extends SentinelAccess {
  /** The connection string, safe to print. */
  readonly label: string
  /** What the sentinels call the primary. */
  readonly primary: string
  readonly sentinels: readonly Address[]
  readonly nodeMap: NodeMap
}

/** How long sentinels may disagree, as they do for a moment in a failover. */
const DISAGREE_MS = 5000
/** Who has not answered so long after the first one is not waited for. */
const GRACE_MS = 1000
/** Between two looks, ms: always, and for a while after somebody said that the primary moves. */
const LOOK_MS = 2000
const HURRY_LOOK_MS = 200
const HURRY_MS = 5000

/**
 * Sentinels of one primary. They are asked before each connection, the majority of those that answer counts; `+switch-master`, a
 * lost connection and a look now and then tell when it is another server. Opens its connections when it is first asked.
 */
export class SentinelGroup implements MovingServer {
  private readonly options: SentinelGroupOptions
  private readonly listeners = new Set<(address: Address) => void>()
  private opened: Promise<readonly Sentinel[]> | null = null
  private locating: Promise<Address> | null = null
  private current: string | null = null
  private hurryUntil = 0
  private timer: NodeJS.Timeout | undefined
  private closed = false
  private said = 0

  constructor(options: SentinelGroupOptions) {
    this.options = options
  }

  get moves(): number {
    return this.said
  }

  /**
   * Where the primary is reached from here.
   * @throws MigrateError FM_SENTINEL_AWAY, FM_SENTINEL_DISAGREE (both retryable), FM_SENTINEL_NAME, FM_SENTINEL_NONE, FM_AUTH_*
   */
  locate(): Promise<Address> {
    this.locating ??= this.ask().finally(() => {
      this.locating = null
    })
    return this.locating
  }

  moved(listener: (address: Address) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  doubt(): void {
    if (this.opened === null || this.closed) return
    this.hurryUntil = Date.now() + HURRY_MS
    this.look(0)
  }

  advice(address: Address): string {
    const announced = printAddress(this.options.nodeMap.announcedAs(address))
    const reached = printAddress(address)
    return `The sentinels announce ${announced}${announced === reached ? '' : `, which node-map says is ${reached}`}; where it is reached otherwise from here, give node-map=${announced}=<host:port that is reachable>.`
  }

  close(): void {
    this.closed = true
    clearTimeout(this.timer)
    this.listeners.clear()
    void this.opened?.then((sentinels) => {
      for (const sentinel of sentinels) sentinel.close()
    })
  }

  private open(): Promise<readonly Sentinel[]> {
    this.opened ??= this.connect()
    return this.opened
  }

  private async connect(): Promise<readonly Sentinel[]> {
    // Whoever names no sentinels does not pay for it.
    const { Redis } = await import('ioredis')
    const { sentinels, primary } = this.options
    const group = sentinels.map((address) => new Sentinel(Redis, address, this.options))
    if (this.closed) return []
    for (const sentinel of group)
      sentinel.listen(
        primary,
        () => {
          this.said++
          this.doubt()
        },
        () => this.look(0),
      )
    this.look(LOOK_MS)
    return group
  }

  private look(inMs: number): void {
    clearTimeout(this.timer)
    if (this.closed) return
    this.timer = setTimeout(() => {
      void this.locate()
        .catch(() => undefined)
        .finally(() => this.look(Date.now() < this.hurryUntil ? HURRY_LOOK_MS : LOOK_MS))
    }, inMs).unref()
  }

  private async ask(): Promise<Address> {
    const { label } = this.options
    const deadline = Date.now() + DISAGREE_MS
    for (;;) {
      if (this.closed) throw groupClosed(label)
      const answers = await this.answers(await this.open())
      if (this.closed) throw groupClosed(label)
      const told = countAddresses(answers)
      if (told.size === 0) throw await this.nobodyKnows(answers)
      const [most, ...others] = [...told.values()].sort((a, b) => b.length - a.length)
      const votes = others.reduce((sum, one) => sum + one.length, most.length)
      if (most.length * 2 > votes) return this.settle(most[0].said as Address)
      if (Date.now() > deadline) throw sentinelsDisagree(label, [...told].map(opinion))
      await sleep(HURRY_LOOK_MS)
    }
  }

  /** The answers of all, or of as many as it takes to know. */
  private answers(sentinels: readonly Sentinel[]): Promise<SentinelAnswer[]> {
    return new Promise((resolve) => {
      const answers: SentinelAnswer[] = []
      let timer: NodeJS.Timeout | undefined
      const done = (): void => {
        clearTimeout(timer)
        resolve([...answers])
      }
      if (sentinels.length === 0) done()
      for (const sentinel of sentinels)
        void sentinel.primary(this.options.primary).then((answer) => {
          answers.push(answer)
          const [most = 0] = [...countAddresses(answers).values()].map((list) => list.length).sort((a, b) => b - a)
          if (answers.length === sentinels.length || most * 2 > sentinels.length) done()
          else if (most > 0) timer ??= setTimeout(done, GRACE_MS)
        })
    })
  }

  private async nobodyKnows(answers: readonly SentinelAnswer[]): Promise<MigrateError> {
    const { label, primary } = this.options
    const ignorant = answers.filter(({ said }) => said === null)
    if (ignorant.length > 0) {
      const known = await Promise.all(ignorant.map(({ sentinel }) => sentinel.names()))
      return unknownPrimary(label, primary, [...new Set(known.flat())])
    }
    const errors = answers.flatMap(({ said }) => (said instanceof MigrateError ? [said] : []))
    return (
      errors.find(({ code }) => code.startsWith('FM_AUTH')) ??
      errors.find(({ code }) => code === 'FM_SENTINEL_NONE') ??
      sentinelsAway(
        label,
        errors.map(({ message }) => message),
      )
    )
  }

  private settle(announced: Address): Address {
    const address = this.options.nodeMap.reach(announced)
    const place = printAddress(address)
    if (this.current !== null && this.current !== place) this.said++
    this.current = place
    for (const listener of [...this.listeners]) listener(address)
    return address
  }
}

/** Who says which address. */
function countAddresses(answers: readonly SentinelAnswer[]): Map<string, SentinelAnswer[]> {
  const told = new Map<string, SentinelAnswer[]>()
  for (const answer of answers) {
    if (answer.said === null || answer.said instanceof MigrateError) continue
    const place = printAddress(answer.said)
    told.set(place, [...(told.get(place) ?? []), answer])
  }
  return told
}

function opinion([place, answers]: readonly [string, readonly SentinelAnswer[]]): string {
  return `${place} (${answers.map(({ sentinel }) => sentinel.at).join(', ')})`
}
