import type { ChangeLedger, Loan } from '@ferrite-migrate/contracts'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'

/** What is written down of a loan. */
interface WrittenLoan {
  readonly what: string
  readonly former: string
  readonly identity: string
  readonly owner: string
}

/**
 * What a worker changes at the source for the moment: written down in the state directory of its machine, where it is durable at once,
 * and in the queue, for when the machine is lost.
 */
export class WorkerLedger implements ChangeLedger {
  private readonly local: ChangeLedger
  private readonly link: Redis
  private readonly keys: RunKeys
  private readonly migration: string
  private readonly owner: string
  private readonly former: readonly WrittenLoan[]
  private next = 0

  /** @param former what others have written down, as it stands in the queue */
  constructor(
    local: ChangeLedger,
    link: Redis,
    keys: RunKeys,
    names: { readonly migration: string; readonly owner: string },
    former: readonly string[],
  ) {
    this.local = local
    this.link = link
    this.keys = keys
    this.migration = names.migration
    this.owner = names.owner
    this.former = former.map((text) => JSON.parse(text) as WrittenLoan)
  }

  lend(what: string, former: string, identity = ''): Loan {
    const loan = this.local.lend(what, former, identity)
    const name = `${this.owner} ${this.next++}`
    const written: WrittenLoan = { what, former, identity, owner: this.owner }
    void this.link.hset(this.keys.loans, name, JSON.stringify(written)).catch(() => undefined)
    return {
      settled: () => {
        loan.settled()
        void this.link.hdel(this.keys.loans, name).catch(() => undefined)
      },
      keep: () => loan.keep(),
    }
  }

  others(what: string, identity = ''): ReturnType<ChangeLedger['others']> {
    const elsewhere = this.former
      .filter((one) => one.what === what && one.owner !== this.owner && (identity === '' || one.identity === identity))
      .map(({ former }) => ({ migration: this.migration, former }))
    return [...elsewhere, ...this.local.others(what, identity)]
  }
}
