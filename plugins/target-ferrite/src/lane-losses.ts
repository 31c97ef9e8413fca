import { setTimeout as sleep } from 'node:timers/promises'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { LaneConnection } from './lane-connection.js'
import type { LaneOptions } from './lane-options.js'

/** Losses of one batch in a row after which its size is suspected, and after which it is given up. */
const SUSPICIOUS_LOSSES = 2
const MOST_LOSSES = 20
/** No server closes a connection for less. */
const SUSPICIOUS_BYTES = 32 << 10

/** What a lane does about connections that are lost with a batch under way. */
export class LaneLosses {
  private readonly options: LaneOptions
  private readonly connection: LaneConnection

  constructor(options: LaneOptions, connection: LaneConnection) {
    this.options = options
    this.connection = connection
  }

  /**
   * A target that closes the connection whenever it gets this batch may not take requests of its size: the next try has
   * its largest value in pieces.
   * @throws MigrateError FM_TARGET_LIMIT when it has been tried often enough
   */
  learn(error: unknown, losses: number, largest: number): void {
    if (!(error instanceof MigrateError)) return
    const told = error.code === 'FM_TARGET_LIMIT'
    if (!told && !(error.code === 'FM_CONNECT_LOST' && losses >= SUSPICIOUS_LOSSES)) return
    if (largest >= SUSPICIOUS_BYTES && this.options.limits.learn(largest)) {
      this.options.logger.log(
        'warn',
        `${this.options.endpoint.label} seems to take requests of less than ${largest} bytes: larger values go in pieces`,
      )
      return
    }
    if (told || losses >= MOST_LOSSES)
      throw new MigrateError(
        'FM_TARGET_LIMIT',
        `${this.options.endpoint.label} closes the connection at each try to write a batch`,
        'Look into its log; proto-max-bulk-len and client-query-buffer-limit bound what it takes.',
        { cause: error },
      )
  }

  /** Returns when the batch may be sent again, throws the error when it may not. */
  async pause(error: unknown, startedAt: number): Promise<void> {
    if (
      !(error instanceof MigrateError) ||
      !error.retryable ||
      error.code === 'FM_TARGET_LOST' ||
      this.connection.closed
    )
      throw error
    if (Date.now() - startedAt > this.options.retryMs || this.options.signal.aborted) throw error
    await this.options.unreachable?.()
    this.options.logger.log('warn', `${error.message}; sending the batch again`)
    await sleep(100)
  }

  /** The error for changes whose fate is not known: the checkpoint tells it. */
  ofChanges(error: unknown): unknown {
    if (!(error instanceof MigrateError) || !error.retryable || this.connection.closed) return error
    return new MigrateError(
      'FM_TARGET_LOST',
      `${error.message}, with changes under way`,
      'The migration goes on from the checkpoint at the target.',
      { retryable: true, cause: error },
    )
  }
}
