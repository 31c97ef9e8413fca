import type { ChangeLedger, Loan } from '@ferrite-migrate/contracts'
import type { Loan as StoredLoan } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'

/** What is written down of a loan. */
export type WrittenLoan = Omit<StoredLoan, 'id'>

/** In whose name something is changed. */
export type Borrower = Pick<WrittenLoan, 'migration' | 'owner' | 'server'>

/**
 * What a worker changes at the source for the moment, written down in the queue, so that it is known when its machine is lost. The entry is on its
 * way before anything is changed; while the queue is away a worker ends soon, and changes nothing.
 */
export class WorkerLedger implements ChangeLedger {
  private readonly link: Redis
  private readonly keys: RunKeys
  private readonly borrower: Borrower
  private readonly former: readonly WrittenLoan[]
  private next = 0

  private constructor(link: Redis, keys: RunKeys, borrower: Borrower, former: readonly WrittenLoan[]) {
    this.link = link
    this.keys = keys
    this.borrower = borrower
    this.former = former
  }

  /** Knows what former workers have written down. */
  static async open(link: Redis, keys: RunKeys, borrower: Borrower): Promise<WorkerLedger> {
    return new WorkerLedger(link, keys, borrower, await writtenLoans(link, keys))
  }

  lend(what: string, former: string, identity = ''): Loan {
    const name = `${this.borrower.owner} ${this.next++}`
    const written: WrittenLoan = { ...this.borrower, what, former, identity, at: Date.now() }
    void this.link.hset(this.keys.loans, name, JSON.stringify(written)).catch(() => undefined)
    return {
      settled: () => void this.link.hdel(this.keys.loans, name).catch(() => undefined),
      // Nothing that a worker changes stays: fences are put up by whoever follows the migration.
      keep: () => undefined,
    }
  }

  others(what: string, identity = ''): ReturnType<ChangeLedger['others']> {
    return this.former.filter((one) => one.what === what && (identity === '' || one.identity === identity))
  }
}

/** What is changed at the source by workers, dead ones among them. */
export async function writtenLoans(link: Redis, keys: RunKeys): Promise<WrittenLoan[]> {
  const loans = (await link.hvals(keys.loans)).map((text) => JSON.parse(text) as WrittenLoan)
  return loans.sort((a, b) => a.at - b.at)
}
